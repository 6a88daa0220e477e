import type { ChalkInstance } from 'chalk';
import type { Workload, WorkloadList } from '../checks/workload-list.js';
import Table from 'cli-table3';
import { escapeInJson, escapeTerminal } from './escape.js';

interface ListStyle {
  readonly wide: boolean;
  readonly color: ChalkInstance;
  readonly unicode: boolean;
}

/** `-o json`: fields in the order of the schema, indented by two, with a newline at the end. */
export function renderWorkloadsJson(list: WorkloadList): string {
  return `${escapeInJson(JSON.stringify(list, null, 2))}\n`;
}

/** A row a pod; below the table what is not as it should be, with its reason, and last the sum in one sentence. */
export function renderWorkloads(list: WorkloadList, style: ListStyle): string {
  const lines = [...table(list, style)];
  const wrong = list.items.filter((item) => item.agrees === false);
  for (const item of wrong) lines.push('', ...remark(item, style));
  for (const problem of list.problems) {
    const line = problem.line === undefined ? '' : `:${problem.line}`;
    lines.push('', escapeTerminal(`${problem.file}${line} could not be read whole: ${problem.message}`));
  }
  lines.push('', summary(list, wrong.length, style));
  return `${lines.join('\n')}\n`;
}

interface Column {
  readonly title: string;
  readonly wide: boolean;
  readonly cell: (item: Workload) => string;
}

/** Before all others where there are several clusters. */
const CLUSTER: Column = { title: 'CLUSTER', wide: false, cell: (item) => item.cluster ?? '-' };

const COLUMNS: readonly Column[] = [
  { title: 'NAMESPACE', wide: false, cell: (item) => item.namespace },
  { title: 'POD', wide: false, cell: (item) => item.name },
  { title: 'MODE', wide: false, cell: (item) => item.mode },
  { title: 'EXPECTED', wide: false, cell: (item) => item.expected.by },
  { title: 'FOUND', wide: false, cell: (item) => item.found.by },
  { title: 'NODE', wide: false, cell: (item) => item.node ?? '-' },
  { title: 'WAYPOINT', wide: false, cell: (item) => waypointCell(item) },
  { title: 'ZTUNNEL', wide: true, cell: (item) => item.ztunnel?.name ?? '-' },
  { title: 'IP', wide: true, cell: (item) => (item.ips.length === 0 ? '-' : item.ips.join(',')) },
  { title: 'SERVICE ACCOUNT', wide: true, cell: (item) => item.serviceAccount },
  { title: 'OWNER', wide: true, cell: (item) => (item.owner === null ? '-' : `${item.owner.kind}/${item.owner.name}`) },
  { title: 'DECIDED BY', wide: true, cell: (item) => item.decidedBy.text.replace(/^Pod [^ ]+?:? /, '') },
];

/** Each waypoint once; what keeps one from being used stands behind it. */
function waypointCell(item: Workload): string {
  const cells = item.waypoints.map(({ namespace, name, state }) => {
    const spelled = namespace === item.namespace ? name : `${namespace}/${name}`;
    return state === 'ready' ? spelled : `${spelled} (${state})`;
  });
  return cells.length === 0 ? '-' : [...new Set(cells)].join(',');
}

/** As kubectl prints tables: columns two blanks apart, no lines. */
const NO_LINES = Object.fromEntries(
  [
    ...['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right'],
    ...['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid', 'middle'],
  ].map((part) => [part, '']),
);
const PLAIN = { head: [], border: [], 'padding-left': 0, 'padding-right': 2 };

function table(list: WorkloadList, style: ListStyle): readonly string[] {
  const several = list.items.some((item) => item.cluster !== undefined);
  const columns = [...(several ? [CLUSTER] : []), ...COLUMNS].filter((column) => style.wide || !column.wide);
  const titles = columns.map((column) => column.title);
  const found = titles.indexOf('FOUND');
  const rows = list.items.map((item) => {
    const paint = (cell: string, index: number): string => {
      if (index !== found) return cell;
      return item.agrees === null ? style.color.yellow(cell) : item.agrees ? cell : style.color.red(cell);
    };
    return columns.map((column, index) => paint(escapeTerminal(column.cell(item)), index));
  });
  return aligned([titles.map((title) => style.color.bold(title)), ...rows]);
}

/** What cli-table3 lays out at once: its time grows with the square of the rows. */
const ROWS_AT_ONCE = 100;

/** Rows of cells as lines, all columns equally wide throughout. */
function aligned(rows: readonly (readonly string[])[]): readonly string[] {
  const parts: (readonly (readonly string[])[])[] = [];
  for (let at = 0; at < rows.length; at += ROWS_AT_ONCE) parts.push(rows.slice(at, at + ROWS_AT_ONCE));
  const laidOut = (part: readonly (readonly string[])[], colWidths: number[]): Table.Table => {
    const made = new Table({ chars: NO_LINES, style: PLAIN, colWidths });
    made.push(...part.map((row) => [...row]));
    return made;
  };
  // a table that was printed knows its widths
  const widths = parts.map((part) => {
    const made = laidOut(part, []);
    made.toString();
    return made.options.colWidths;
  });
  const widest = (rows[0] ?? []).map((_, column) => Math.max(...widths.map((own) => own[column] ?? 0)));
  return parts.flatMap((part) =>
    laidOut(part, widest)
      .toString()
      .split('\n')
      .map((line) => line.trimEnd()),
  );
}

function remark(item: Workload, style: ListStyle): readonly string[] {
  const mark = style.color.red(style.unicode ? '✖' : 'x');
  return [
    `${mark} ${escapeTerminal(`${item.namespace}/${item.name}${item.cluster === undefined ? '' : `@${item.cluster}`}`)}`,
    escapeTerminal(`  expected ${item.expected.by}: ${item.expected.reason}`),
    escapeTerminal(`  found ${item.found.by}: ${item.found.reason}`),
    ...item.found.evidence.slice(0, 2).map((evidence) => {
      const place = evidence.line === undefined ? (evidence.pointer ?? '') : `:${evidence.line}`;
      return escapeTerminal(`    ${evidence.file}${place}  ${evidence.text}`);
    }),
  ];
}

function summary(list: WorkloadList, wrong: number, style: ListStyle): string {
  const count = (n: number, one: string): string => `${n} ${n === 1 ? one : `${one}s`}`;
  const total = count(list.items.length, 'pod');
  const inMesh = list.items.filter((item) => ['ztunnel', 'sidecar', 'itself'].includes(item.expected.by)).length;
  const open = list.items.filter((item) => item.agrees === null).length;
  const parts = [`${total}, ${inMesh} of them meant to be in the mesh`];
  parts.push(
    wrong === 0 ? 'none found otherwise than expected' : style.color.red(`${wrong} found otherwise than expected`),
  );
  if (open > 0) parts.push(style.color.yellow(`${open} not known (-o json says which facts are missing)`));
  return `${parts.join('; ')}.`;
}
