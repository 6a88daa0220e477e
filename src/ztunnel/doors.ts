import type { DumpWorkload } from '../formats/ztunnel-types.js';
import { readAddress } from './authority.js';
import type { Entrances } from './entrances.js';
import type { ZtunnelConnection, ZtunnelOutcome } from './face.js';
import { parseIdentity } from './identity.js';
import { connectionTo, enter, keepsCaller, type Caller, type Door } from './inbound.js';
import { settle } from './outcome.js';
import type { RbacResult } from './rbac.js';
import { Undecided, type State } from './state.js';
import { untouched, World } from './world.js';

/** More doors than this are not kept. */
const MOST = 100_000;

/** A door and the answers given there: one for each verdict of the policies, by whether the caller's address is kept. */
interface KeptDoor {
  readonly local: DumpWorkload | null;
  readonly door: Door;
  readonly answers: Map<RbacResult | null, (readonly ZtunnelOutcome[] | undefined)[]>;
}

/**
 * Inbound decisions, 1.22 on. What awaits a connection hangs on where it arrives; of its caller only the policies' verdict
 * and whether the caller's address is kept show in the answer.
 */
export class Doors {
  private readonly state: State;
  private readonly entrances: Entrances;
  /** Null: something about the place is open, and each connection is decided by itself. */
  private readonly plaintext = new Map<string, KeptDoor | null>();
  private readonly connects = new Map<string, KeptDoor | null>();

  constructor(state: State, entrances: Entrances) {
    this.state = state;
    this.entrances = entrances;
  }

  /** Null where the connection has to be decided by itself. */
  decide(connection: ZtunnelConnection): readonly ZtunnelOutcome[] | null {
    const kept = this.doorFor(connection);
    if (kept === null) return null;
    const { local, door } = kept;
    const address = readAddress(connection.src);
    if (address === null) return null;
    const identity =
      connection.direction === 'inbound' && connection.identity !== null ? parseIdentity(connection.identity) : null;
    if (connection.direction === 'inbound' && connection.identity === null) return null;
    if (local !== null && identity?.trustDomain !== local.trustDomain) return null;
    return this.answer(kept, door, { address, identity });
  }

  private answer(kept: KeptDoor, door: Door, caller: Caller): readonly ZtunnelOutcome[] | null {
    const verdict = door.kind === 'ended' ? null : this.verdictAt(door, caller);
    if (verdict === undefined) return null;
    let answers = kept.answers.get(verdict);
    if (answers === undefined) {
      answers = [];
      kept.answers.set(verdict, answers);
    }
    const index = door.kind === 'guarded' && keepsCaller(door, caller) ? 1 : 0;
    return (answers[index] ??= settle(enter(door, caller)));
  }

  /** Undefined where the policies cannot be asked. */
  private verdictAt(door: Extract<Door, { kind: 'guarded' }>, caller: Caller): RbacResult | undefined {
    if (this.state.dump.gaps.policies !== null) return undefined;
    return this.state.policiesFor(door.request.local).verdict(connectionTo(door, caller));
  }

  private doorFor(connection: ZtunnelConnection): KeptDoor | null {
    const { dst, arrivedAt, pod } = connection;
    const doors = connection.direction === 'inbound' ? this.connects : this.plaintext;
    const key =
      arrivedAt === null && pod === null
        ? dst
        : JSON.stringify([dst, arrivedAt, pod?.namespace, pod?.name, pod?.serviceAccount]);
    const known = doors.get(key);
    if (known !== undefined) return known;
    if (doors.size >= MOST) doors.clear();
    const door = this.open(connection);
    doors.set(key, door);
    return door;
  }

  private open(connection: ZtunnelConnection): KeptDoor | null {
    const { dump, behaviour } = this.state;
    if (behaviour.waypoints === 'node' || dump.legacy !== null || dump.gaps.config !== null) return null;
    const world = new World([], untouched());
    try {
      const { local, door } = this.entrances.doorOf(connection, world);
      return world.questions.length > 0 ? null : { local, door, answers: new Map() };
    } catch (error) {
      if (error instanceof Undecided) return null;
      throw error;
    }
  }
}
