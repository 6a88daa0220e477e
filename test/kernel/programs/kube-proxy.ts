import { chainsInLines, type Program } from './program.js';

/** kube-proxy's nftables mode (pkg/proxy/nftables/proxier.go, 1.29 to 1.33). The Service is 10.96.0.10:80, its node port 8080. */
const NFT = `table ip kube-proxy {
  set cluster-ips { type ipv4_addr; comment "Active ClusterIPs"; elements = { 10.96.0.1, 10.96.0.10, 10.96.0.20 } }
  set nodeport-ips { type ipv4_addr; comment "IPs that accept NodePort traffic"; elements = { 10.1.0.5, 172.18.0.3 } }
  map no-endpoint-services { type ipv4_addr . inet_proto . inet_service : verdict; elements = { 10.96.0.20 . tcp . 443 : drop, 10.96.0.20 . udp . 53 : goto reject-chain } }
  map no-endpoint-nodeports { type inet_proto . inet_service : verdict; elements = { tcp . 9053 : drop, tcp . 9090 : goto reject-chain } }
  map firewall-ips { type ipv4_addr . inet_proto . inet_service : verdict; elements = { 203.0.113.5 . tcp . 80 : goto firewall-AB12-ns/svc/tcp/p80 } }
  map service-ips { type ipv4_addr . inet_proto . inet_service : verdict; elements = {
    10.96.0.10 . tcp . 80 : goto service-AB12-ns/svc/tcp/p80, 10.96.0.1 . tcp . 443 : goto service-AAAA-default/kubernetes/tcp/https,
    10.96.0.10 . udp . 53 : goto service-CD34-kube-system/kube-dns/udp/dns,
    203.0.113.5 . tcp . 80 : goto external-AB12-ns/svc/tcp/p80, 8.8.8.8 . tcp . 443 : goto external-EF56-ns/local/tcp/ } }
  map service-nodeports { type inet_proto . inet_service : verdict; elements = { tcp . 8080 : goto external-AB12-ns/svc/tcp/p80, tcp . 7070 : goto external-EF56-ns/local/tcp/ } }
  set affinity-EP01-ns/svc/tcp/p80__10.244.2.9/80 { type ipv4_addr; size 65535; flags dynamic,timeout; timeout 3h; elements = { 10.244.1.1 expires 2h30m } }
  set affinity-EP02-ns/svc/tcp/p80__10.1.0.77/80 { type ipv4_addr; size 65535; flags dynamic,timeout; timeout 3h; }
  chain filter-prerouting { type filter hook prerouting priority -110; policy accept; ct state new jump firewall-check }
  chain filter-input { type filter hook input priority -110; policy accept; ct state new jump nodeport-endpoints-check; ct state new jump service-endpoints-check }
  chain filter-forward { type filter hook forward priority -110; policy accept; ct state new jump service-endpoints-check; ct state new jump cluster-ips-check }
  chain filter-output { type filter hook output priority -110; policy accept; ct state new jump service-endpoints-check; ct state new jump firewall-check }
  chain filter-output-post-dnat { type filter hook output priority -90; policy accept; ct state new jump cluster-ips-check }
  chain nat-prerouting { type nat hook prerouting priority -100; policy accept; jump services }
  chain nat-output { type nat hook output priority -100; policy accept; jump services }
  chain nat-postrouting { type nat hook postrouting priority 100; policy accept; jump masquerading }
  chain nodeport-endpoints-check { ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports }
  chain service-endpoints-check { ip daddr . meta l4proto . th dport vmap @no-endpoint-services }
  chain firewall-check { ip daddr . meta l4proto . th dport vmap @firewall-ips }
  chain services {
    ip daddr . meta l4proto . th dport vmap @service-ips
    ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
  }
  chain masquerading { meta mark & 0x00004000 == 0x00000000 return; meta mark set meta mark ^ 0x00004000; masquerade fully-random }
  chain cluster-ips-check { ip daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"; ip daddr { 10.96.0.0/16 } drop }
  chain reject-chain { reject }
  chain mark-for-masquerade { meta mark set meta mark | 0x00004000 }
  chain firewall-AB12-ns/svc/tcp/p80 { ip saddr { 10.244.0.0/16, 10.1.0.0/16 } return; drop }
  chain service-AB12-ns/svc/tcp/p80 {
    ip daddr 10.96.0.10 tcp dport 80 ip saddr != 10.244.0.0/16 jump mark-for-masquerade
    ip saddr @affinity-EP01-ns/svc/tcp/p80__10.244.2.9/80 goto endpoint-EP01-ns/svc/tcp/p80__10.244.2.9/80
    ip saddr @affinity-EP02-ns/svc/tcp/p80__10.1.0.77/80 goto endpoint-EP02-ns/svc/tcp/p80__10.1.0.77/80
    numgen random mod 2 vmap { 0 : goto endpoint-EP01-ns/svc/tcp/p80__10.244.2.9/80, 1 : goto endpoint-EP02-ns/svc/tcp/p80__10.1.0.77/80 }
  }
  chain external-AB12-ns/svc/tcp/p80 { jump mark-for-masquerade; goto service-AB12-ns/svc/tcp/p80 }
  chain endpoint-EP01-ns/svc/tcp/p80__10.244.2.9/80 {
    ip saddr 10.244.2.9 jump mark-for-masquerade
    update @affinity-EP01-ns/svc/tcp/p80__10.244.2.9/80 { ip saddr }
    meta l4proto tcp dnat to 10.244.2.9:80
  }
  chain endpoint-EP02-ns/svc/tcp/p80__10.1.0.77/80 {
    ip saddr 10.1.0.77 jump mark-for-masquerade
    update @affinity-EP02-ns/svc/tcp/p80__10.1.0.77/80 { ip saddr }
    meta l4proto tcp dnat to 10.1.0.77:80
  }
  chain service-AAAA-default/kubernetes/tcp/https {
    ip daddr 10.96.0.1 tcp dport 443 ip saddr != 10.244.0.0/16 jump mark-for-masquerade
    numgen random mod 1 vmap { 0 : goto endpoint-EP03-default/kubernetes/tcp/https__172.18.0.3/6443 }
  }
  chain endpoint-EP03-default/kubernetes/tcp/https__172.18.0.3/6443 { ip saddr 172.18.0.3 jump mark-for-masquerade; meta l4proto tcp dnat to 172.18.0.3:8080 }
  chain service-CD34-kube-system/kube-dns/udp/dns { numgen random mod 3 vmap { 0-1 : goto endpoint-EP04-kube-system/kube-dns/udp/dns, 2 : goto endpoint-EP05-kube-system/kube-dns/udp/dns } }
  chain endpoint-EP04-kube-system/kube-dns/udp/dns { ip saddr 10.244.2.9 jump mark-for-masquerade; meta l4proto udp dnat to 10.244.2.9:53 }
  chain endpoint-EP05-kube-system/kube-dns/udp/dns { ip saddr 10.244.1.5 jump mark-for-masquerade; meta l4proto udp dnat to 10.244.1.5:53 }
  chain external-EF56-ns/local/tcp/ {
    ip saddr 10.244.0.0/16 goto service-EF56-ns/local/tcp/ comment "short-circuit pod traffic"
    fib saddr type local jump mark-for-masquerade comment "masquerade local traffic"
    fib saddr type local goto service-EF56-ns/local/tcp/ comment "short-circuit local traffic"
    drop comment "no local endpoints"
  }
  chain service-EF56-ns/local/tcp/ { numgen random mod 1 vmap { 0 : goto endpoint-EP05-local } }
  chain endpoint-EP05-local { meta l4proto tcp dnat to 10.1.0.77:7070 }
}
`;
/** Its iptables mode (pkg/proxy/iptables/proxier.go, 1.31): affinity, source ranges, external policy Local, no endpoints. */
const IPTABLES = `*mangle
:KUBE-IPTABLES-HINT - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SERVICES - [0:0]
-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-A INPUT -j KUBE-FIREWALL
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -j KUBE-FIREWALL
-A KUBE-EXTERNAL-SERVICES -d 203.0.113.5/32 -p tcp -m comment --comment "ns/none has no endpoints" -m tcp --dport 9053 -j REJECT --reject-with icmp-port-unreachable
-A KUBE-EXTERNAL-SERVICES -p tcp -m comment --comment "ns/local has no local endpoints" -m addrtype --dst-type LOCAL -m tcp --dport 9090 -j DROP
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -m nfacct --nfacct-name ct_state_invalid_dropped_pkts -j DROP
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-NODEPORTS -p tcp -m comment --comment "ns/local health check node port" -m tcp --dport 15008 -j ACCEPT
-A KUBE-PROXY-FIREWALL -d 203.0.113.5/32 -p tcp -m comment --comment "ns/svc traffic not accepted by KUBE-FW-LB" -m tcp --dport 80 -j DROP
-A KUBE-SERVICES -d 10.96.0.20/32 -p tcp -m comment --comment "ns/empty has no endpoints" -m tcp --dport 443 -j REJECT --reject-with icmp-port-unreachable
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-EXT-AFF - [0:0]
:KUBE-EXT-LOC - [0:0]
:KUBE-FW-LB - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SEP-1 - [0:0]
:KUBE-SEP-2 - [0:0]
:KUBE-SEP-3 - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-AFF - [0:0]
:KUBE-SVC-DNS - [0:0]
:KUBE-SVL-LOC - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-EXT-AFF -m comment --comment "masquerade traffic for ns/svc external destinations" -j KUBE-MARK-MASQ
-A KUBE-EXT-AFF -j KUBE-SVC-AFF
-A KUBE-EXT-LOC -s 10.244.0.0/16 -m comment --comment "pod traffic for ns/local external destinations" -j KUBE-SVC-DNS
-A KUBE-EXT-LOC -m comment --comment "masquerade LOCAL traffic for ns/local external destinations" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
-A KUBE-EXT-LOC -m comment --comment "route LOCAL traffic for ns/local external destinations" -m addrtype --src-type LOCAL -j KUBE-SVC-DNS
-A KUBE-EXT-LOC -j KUBE-SVL-LOC
-A KUBE-FW-LB -s 10.0.0.0/8 -m comment --comment "ns/svc loadbalancer IP" -j KUBE-EXT-AFF
-A KUBE-FW-LB -m comment --comment "other traffic to ns/svc will be dropped by KUBE-PROXY-FIREWALL"
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-NODEPORTS -d 127.0.0.0/8 -p tcp -m comment --comment "ns/svc" -m tcp --dport 8080 -m nfacct --nfacct-name localhost_nps_accepted_pkts -j KUBE-EXT-AFF
-A KUBE-NODEPORTS -p tcp -m comment --comment "ns/svc" -m tcp --dport 8080 -j KUBE-EXT-AFF
-A KUBE-NODEPORTS -p tcp -m comment --comment "ns/local" -m tcp --dport 7070 -j KUBE-EXT-LOC
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-SEP-1 -s 10.244.2.9/32 -m comment --comment "ns/svc" -j KUBE-MARK-MASQ
-A KUBE-SEP-1 -p tcp -m comment --comment "ns/svc" -m recent --set --name KUBE-SEP-1 --mask 255.255.255.255 --rsource -m tcp -j DNAT --to-destination 10.244.2.9:80
-A KUBE-SEP-2 -s 10.1.0.77/32 -m comment --comment "ns/svc" -j KUBE-MARK-MASQ
-A KUBE-SEP-2 -p tcp -m comment --comment "ns/svc" -m recent --set --name KUBE-SEP-2 --mask 255.255.255.255 --rsource -m tcp -j DNAT --to-destination 10.1.0.77:80
-A KUBE-SEP-3 -s 10.244.2.9/32 -j KUBE-MARK-MASQ
-A KUBE-SEP-3 -p udp -m udp -j DNAT --to-destination 10.244.2.9:53
-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m comment --comment "ns/svc cluster IP" -m tcp --dport 80 -j KUBE-SVC-AFF
-A KUBE-SERVICES -d 10.96.0.10/32 -p udp -m comment --comment "kube-system/kube-dns:dns cluster IP" -m udp --dport 53 -j KUBE-SVC-DNS
-A KUBE-SERVICES -d 203.0.113.5/32 -p tcp -m comment --comment "ns/svc loadbalancer IP" -m tcp --dport 80 -j KUBE-FW-LB
-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-SVC-AFF ! -s 10.244.0.0/16 -d 10.96.0.10/32 -p tcp -m comment --comment "ns/svc cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ
-A KUBE-SVC-AFF -m comment --comment "ns/svc -> 10.244.2.9:80" -m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-1 --mask 255.255.255.255 --rsource -j KUBE-SEP-1
-A KUBE-SVC-AFF -m comment --comment "ns/svc -> 10.1.0.77:80" -m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-2 --mask 255.255.255.255 --rsource -j KUBE-SEP-2
-A KUBE-SVC-AFF -m comment --comment "ns/svc -> 10.244.2.9:80" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-1
-A KUBE-SVC-AFF -m comment --comment "ns/svc -> 10.1.0.77:80" -j KUBE-SEP-2
-A KUBE-SVC-DNS ! -s 10.244.0.0/16 -d 10.96.0.10/32 -p udp -m udp --dport 53 -j KUBE-MARK-MASQ
-A KUBE-SVC-DNS -j KUBE-SEP-3
-A KUBE-SVL-LOC -m comment --comment "ns/local -> 10.1.0.77:80" -j KUBE-SEP-2
COMMIT
`;

/** Its IPVS mode without a virtual server (pkg/proxy/ipvs/proxier.go, 1.31): sets instead of chains. */
const IPVS_SETS = `create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024 maxelem 65536
add KUBE-CLUSTER-IP 10.96.0.10,tcp:80
add KUBE-CLUSTER-IP 10.96.0.10,udp:53
create KUBE-LOOP-BACK hash:ip,port,ip family inet hashsize 1024 maxelem 65536
add KUBE-LOOP-BACK 10.244.1.5,tcp:80,10.244.1.5
add KUBE-LOOP-BACK 10.1.0.77,tcp:80,10.1.0.77
create KUBE-EXTERNAL-IP hash:ip,port family inet
create KUBE-LOAD-BALANCER hash:ip,port family inet
add KUBE-LOAD-BALANCER 203.0.113.5,tcp:80
create KUBE-LOAD-BALANCER-FW hash:ip,port family inet
add KUBE-LOAD-BALANCER-FW 203.0.113.5,tcp:80
create KUBE-LOAD-BALANCER-SOURCE-CIDR hash:ip,port,net family inet
add KUBE-LOAD-BALANCER-SOURCE-CIDR 203.0.113.5,tcp:80,10.0.0.0/8
create KUBE-NODE-PORT-TCP bitmap:port range 0-65535
add KUBE-NODE-PORT-TCP 8080
create KUBE-IPVS-IPS hash:ip family inet
add KUBE-IPVS-IPS 10.96.0.10
`;
const IPVS = `*filter
:KUBE-IPVS-FILTER - [0:0]
:KUBE-IPVS-OUT-FILTER - [0:0]
:KUBE-NODE-PORT - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-SOURCE-RANGES-FIREWALL - [0:0]
-A INPUT -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-FILTER
-A INPUT -m comment --comment "kube-proxy firewall rules" -j KUBE-PROXY-FIREWALL
-A INPUT -m comment --comment "kubernetes health check rules" -j KUBE-NODE-PORT
-A FORWARD -m comment --comment "kube-proxy firewall rules" -j KUBE-PROXY-FIREWALL
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A OUTPUT -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-OUT-FILTER
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-IPVS-FILTER -m set --match-set KUBE-LOAD-BALANCER dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set KUBE-CLUSTER-IP dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set KUBE-EXTERNAL-IP dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW -m set --match-set KUBE-IPVS-IPS dst -j REJECT --reject-with icmp-port-unreachable
-A KUBE-NODE-PORT -m comment --comment "Kubernetes health check node port" -m set --match-set KUBE-NODE-PORT-TCP dst -j ACCEPT
-A KUBE-PROXY-FIREWALL -m comment --comment "Kubernetes service load balancer ip + port for load balancer with sourceRange" -m set --match-set KUBE-LOAD-BALANCER-FW dst,dst -j KUBE-SOURCE-RANGES-FIREWALL
-A KUBE-SOURCE-RANGES-FIREWALL -m set --match-set KUBE-LOAD-BALANCER-SOURCE-CIDR dst,dst,src -j RETURN
-A KUBE-SOURCE-RANGES-FIREWALL -j DROP
COMMIT
*nat
:KUBE-LOAD-BALANCER - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODE-PORT - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SERVICES - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-NODE-PORT -p tcp -m comment --comment "Kubernetes nodeport TCP port for masquerade purpose" -m set --match-set KUBE-NODE-PORT-TCP dst -j KUBE-MARK-MASQ
-A KUBE-POSTROUTING -m comment --comment "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose" -m set --match-set KUBE-LOOP-BACK dst,dst,src -j MASQUERADE
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE
-A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN
-A KUBE-SERVICES -m set --match-set KUBE-LOAD-BALANCER dst,dst -j KUBE-LOAD-BALANCER
-A KUBE-SERVICES ! -s 10.244.0.0/16 -m set --match-set KUBE-CLUSTER-IP dst,dst -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT
-A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT
-A KUBE-SERVICES -m set --match-set KUBE-LOAD-BALANCER dst,dst -j ACCEPT
COMMIT
`;

export const KUBE_PROXY: readonly Program[] = [
  { name: 'kube-proxy nft', rules: { nft: chainsInLines(NFT) } },
  { name: 'kube-proxy iptables', rules: { iptables: IPTABLES.replaceAll(/ -m nfacct --nfacct-name \S+/g, '') } },
  { name: 'kube-proxy ipvs', rules: { ipset: IPVS_SETS, iptables: IPVS } },
];
