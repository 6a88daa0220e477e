import { CLOUDS } from './clouds.js';
import { IPTABLES_FORMS } from './forms-iptables.js';
import { NFT_FORMS } from './forms-nft.js';
import { ROUTING_FORMS } from './forms-routing.js';
import { HOSTS } from './hosts.js';
import { KUBE_PROXY } from './kube-proxy.js';
import { MESHES } from './meshes.js';
import { NETWORKS } from './networks.js';
import type { Form, Program } from './program.js';

export const PROGRAMS: readonly Program[] = [...KUBE_PROXY, ...CLOUDS, ...MESHES, ...NETWORKS, ...HOSTS];
export const FORMS: readonly Form[] = [...NFT_FORMS, ...ROUTING_FORMS, ...IPTABLES_FORMS];
