import type { Evidence } from '../formats/evidence.js';
import { object, string, strings, typed, type JsonObject } from '../formats/envoy-json.js';
import { findChain, isLocal } from './chain-match.js';
import { addressText, ending, type Connection, type End, type Payload } from './connection.js';
import type { Engine } from './engine.js';
import type { FilterChain, ListenerModel } from './listener.js';
import { runListenerFilters } from './listener-filters.js';
import { matchTree, type Input } from './matcher-tree.js';
import { runNetworkFilters } from './network.js';
import { refusal } from './handshake.js';
import { fork, step, stepsKept, withUnknown, type Path } from './path.js';
import { doubt } from './tri.js';

/** Takes a connection at a listener: listener filters, chain, TLS, network filters. */
export function accept(
  engine: Engine,
  listener: ListenerModel,
  arrived: Connection,
  path: Path,
  depth: number,
  end: End,
): void {
  const body = listener.body();
  const { evidence, open } = body;
  const connection = { ...arrived, listener: listener.name, filterChain: null };
  const taken = stepsKept(path, body.step);
  const filter = (branch: Path): void =>
    runListenerFilters(body, engine.dump.file, connection, branch, {
      next: (filtered, next) => chooseChain(engine, listener, filtered, next, depth, end),
      stop: (action, reason, at, next) => end(ending(connection, action, at, { reason }), next),
    });
  if (open === null) return filter(taken);
  fork(taken, open, 'unknown', filter, (no) => {
    end(ending(connection, 'unknown', evidence, { reason: open.reason }), no);
  });
}

/** Inputs of `filter_chain_matcher`, as envoy 1.40 source/extensions/matching/network/common/inputs.cc gives them. */
function networkInput(connection: Connection): Input {
  const { local, remote } = connection;
  return (type, config) => {
    switch (type) {
      case 'envoy.extensions.matching.common_inputs.network.v3.DestinationIPInput':
        return local.kind === 'ip' ? local.host : null;
      case 'envoy.extensions.matching.common_inputs.network.v3.DestinationPortInput':
        return local.kind === 'ip' ? String(local.port) : null;
      case 'envoy.extensions.matching.common_inputs.network.v3.DirectSourceIPInput':
        return connection.direct?.kind === 'ip' ? connection.direct.host : null;
      case 'envoy.extensions.matching.common_inputs.network.v3.SourceIPInput':
        return remote?.kind === 'ip' ? remote.host : null;
      case 'envoy.extensions.matching.common_inputs.network.v3.SourcePortInput':
        return remote?.kind === 'ip' ? String(remote.port) : null;
      case 'envoy.extensions.matching.common_inputs.network.v3.SourceTypeInput':
        return isLocal(connection) ? 'local' : null;
      case 'envoy.extensions.matching.common_inputs.network.v3.ServerNameInput':
        return connection.sni === '' ? null : connection.sni;
      case 'envoy.extensions.matching.common_inputs.network.v3.TransportProtocolInput':
        return connection.transport;
      case 'envoy.extensions.matching.common_inputs.network.v3.ApplicationProtocolInput':
        return connection.alpn.length === 0 ? null : connection.alpn.map((name) => `'${name}'`).join(',');
      case 'envoy.extensions.matching.common_inputs.network.v3.FilterStateInput': {
        const key = string(config['key']) ?? '';
        const value = connection.filterState.get(key);
        if (value === null) return doubt(`filter state ${key} matches`, 'its value is not known');
        return value ?? null;
      }
      default:
        return doubt(`input ${type} matches`, 'not known to this program');
    }
  };
}

function chooseChain(
  engine: Engine,
  listener: ListenerModel,
  connection: Connection,
  path: Path,
  depth: number,
  end: End,
): void {
  const body = listener.body();
  const { file } = engine.dump;
  const use = (chain: FilterChain, next: Path): void => enterChain(engine, chain, connection, next, depth, end);
  const none = (next: Path, pointer: string): void => {
    const evidence: Evidence = { file, pointer, text: body.evidence.text };
    const text = `no filter chain fits ${addressText(connection.local)}`;
    end(ending(connection, 'error', evidence, { reason: 'NR' }), step(next, text, evidence));
  };
  if (body.matcher !== null) {
    const found = matchTree(body.matcher.value, body.matcher.pointer, networkInput(connection));
    if (found.kind === 'doubt') {
      const evidence: Evidence = { file, pointer: body.matcher.pointer, text: 'filter_chain_matcher' };
      const next = withUnknown(path, found.doubt.fact, found.doubt.reason);
      end(ending(connection, 'unknown', evidence, { reason: 'the filter chain matcher is not understood' }), next);
      return;
    }
    if (found.kind === 'none') {
      if (body.defaultChain === null) none(path, body.matcher.pointer);
      else use(body.defaultChain, path);
      return;
    }
    const name = string(typed(found.value['typed_config']).value['value']) ?? string(found.value['name']) ?? '';
    const evidence: Evidence = { file, pointer: found.pointer, text: `filter chain ${name}` };
    const next = step(path, `matcher chooses filter chain ${name}`, evidence);
    const chain = body.chains.find((item) => item.name === name);
    // A name without a chain ends the connection, the default chain notwithstanding.
    if (chain === undefined) none(next, found.pointer);
    else use(chain, next);
    return;
  }
  const open = body.chains.find((chain) => chain.match.unsupported.length > 0);
  const fitting = findChain(body.chains, connection);
  if (open !== undefined) {
    const evidence: Evidence = { file, pointer: open.pointer, text: `filter chain ${open.name ?? ''}` };
    const fact = `filter chain ${open.name ?? open.pointer} fits the connection`;
    const reason = `its match has ${open.match.unsupported.join(', ')}, not known to this program`;
    end(ending(connection, 'unknown', evidence, { reason }), withUnknown(path, fact, reason));
    return;
  }
  const chain = fitting[0] ?? body.defaultChain;
  if (chain === null) none(path, listener.entry.pointer);
  else use(chain, path);
}

const TLS_CONTEXT = 'envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext';

function enterChain(engine: Engine, chain: FilterChain, found: Connection, path: Path, depth: number, end: End): void {
  const { file } = engine.dump;
  const { evidence, open } = chain;
  if (open !== null) {
    const named = { ...found, filterChain: chain.name };
    end(ending(named, 'unknown', evidence, { reason: open.reason }), withUnknown(path, open.fact, open.reason));
    return;
  }
  const connection = { ...found, filterChain: chain.name };
  const next = stepsKept(path, chain.step);
  const go = (ready: Connection, after: Path): void => runNetworkFilters(engine, chain, 0, ready, after, depth, end);
  if (chain.transport === null || chain.transport.type.endsWith('.RawBuffer')) return go(connection, next);
  if (chain.transport.type !== TLS_CONTEXT) {
    const reason = `transport socket ${chain.transport.type} is not known to this program`;
    end(
      ending(connection, 'unknown', evidence, { reason }),
      withUnknown(next, `transport of ${chain.pointer}`, reason),
    );
    return;
  }
  const at: Evidence = { file, pointer: chain.transport.pointer, text: 'DownstreamTlsContext' };
  const refuse = (why: string, branch: Path): void =>
    end(ending(connection, 'error', at, { reason: `downstream_tls:${why}` }), step(branch, why, at));
  const refused = refusal(engine, chain.transport.config, connection);
  if (typeof refused === 'string') return refuse(refused, next);
  const { tls } = connection.payload;
  const inner: Payload = { tls: null, app: connection.payload.app };
  const peer = tls?.peer ?? null;
  const text = `TLS ends here, the client is ${peer ?? 'without a certificate'}`;
  const negotiated = negotiate(chain.transport.config, tls);
  const admit = (branch: Path): void =>
    go({ ...connection, payload: inner, terminated: tls ?? undefined, negotiated }, step(branch, text, at));
  if (refused === null) return admit(next);
  fork(next, refused, 'unknown', admit, (no) => refuse('CERTIFICATE_VERIFY_FAILED', no));
}

/** The server's order decides among what the client offers. */
function negotiate(config: JsonObject, tls: Connection['payload']['tls']): string | null {
  const offered = tls?.alpn ?? [];
  return strings(object(config['common_tls_context'])['alpn_protocols']).find((name) => offered.includes(name)) ?? null;
}
