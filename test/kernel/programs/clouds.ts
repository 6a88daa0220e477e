import type { Program } from './program.js';

/** amazon-vpc-cni-k8s (pkg/networkutils/network.go, 1.18): connmark of what came in by the first device, one table a device. */
const AWS = `*mangle
:PREROUTING ACCEPT [0:0]
-A PREROUTING -i eth0 -m comment --comment "AWS, primary ENI" -m addrtype --dst-type LOCAL --limit-iface-in -j CONNMARK --set-xmark 0x80/0x80
-A PREROUTING -i eni+ -m comment --comment "AWS, primary ENI" -j CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80
-A PREROUTING -i vlan+ -m comment --comment "AWS, primary ENI" -j CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80
COMMIT
*nat
:AWS-SNAT-CHAIN-0 - [0:0]
:AWS-CONNMARK-CHAIN-0 - [0:0]
-A PREROUTING -i eni+ -m comment --comment "AWS, outbound connections" -j AWS-CONNMARK-CHAIN-0
-A PREROUTING -m comment --comment "AWS, CONNMARK" -j CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80
-A POSTROUTING -m comment --comment "AWS SNAT CHAIN" -j AWS-SNAT-CHAIN-0
-A AWS-CONNMARK-CHAIN-0 -d 10.244.0.0/16 -m comment --comment "AWS CONNMARK CHAIN, VPC CIDR" -j RETURN
-A AWS-CONNMARK-CHAIN-0 -m comment --comment "AWS, CONNMARK" -j CONNMARK --set-xmark 0x80/0x80
-A AWS-SNAT-CHAIN-0 -d 10.244.0.0/16 -m comment --comment "AWS SNAT CHAIN" -j RETURN
-A AWS-SNAT-CHAIN-0 ! -o vlan+ -m comment --comment "AWS, SNAT" -m addrtype ! --dst-type LOCAL -j SNAT --to-source 10.1.0.5 --random-fully
COMMIT
`;
const AWS_ROUTES = `ip route replace default via 10.1.0.1 dev eth1 table 101 proto 99
ip route replace 10.1.0.1 dev eth1 scope link table 101 proto 99
ip rule add pref 512 to 10.244.2.9 lookup main
ip rule add pref 1024 fwmark 0x80/0x80 lookup main
ip rule add pref 1536 from 172.18.0.3 lookup 101`;

/** GKE's netd and ip-masq-agent (nonMasqueradeCIDRs), and NodeLocal DNSCache (NOTRACK on 169.254.20.10 and the Service). */
const GKE = `*raw
-A PREROUTING -d 10.96.0.10/32 -p udp -m udp --dport 53 -m comment --comment "NodeLocal DNS Cache: skip conntrack" -j NOTRACK
-A PREROUTING -d 10.96.0.10/32 -p tcp -m tcp --dport 53 -m comment --comment "NodeLocal DNS Cache: skip conntrack" -j NOTRACK
-A OUTPUT -s 10.96.0.10/32 -p udp -m udp --sport 53 -m comment --comment "NodeLocal DNS Cache: skip conntrack" -j NOTRACK
-A OUTPUT -d 10.96.0.10/32 -p udp -m udp --dport 53 -m comment --comment "NodeLocal DNS Cache: skip conntrack" -j NOTRACK
-A OUTPUT -d 10.96.0.10/32 -p tcp -m tcp --dport 8080 -m comment --comment "NodeLocal DNS Cache: skip conntrack" -j NOTRACK
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
-A INPUT -d 10.96.0.10/32 -p udp -m udp --dport 53 -m comment --comment "NodeLocal DNS Cache: allow DNS traffic" -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -p tcp -j ACCEPT
-A FORWARD -p tcp -j ACCEPT
-A FORWARD -p udp -j ACCEPT
-A FORWARD -p icmp -j ACCEPT
-A OUTPUT -m state --state NEW,RELATED,ESTABLISHED -j ACCEPT
COMMIT
*mangle
:GCP-PREROUTING - [0:0]
-A PREROUTING -m comment --comment "netd: policy routing" -j GCP-PREROUTING
-A GCP-PREROUTING -i eth1 -m connmark --mark 0x0/0x4000 -j CONNMARK --set-xmark 0x4000/0x4000
-A GCP-PREROUTING -m connmark --mark 0x4000/0x4000 -j CONNMARK --restore-mark --nfmask 0x4000 --ctmask 0x4000
COMMIT
*nat
:IP-MASQ - [0:0]
-A PREROUTING -d 169.254.169.254/32 -i eth0 -p tcp -m tcp --dport 80 -m comment --comment "metadata-concealment: bridge traffic to metadata server goes to metadata proxy" -j DNAT --to-destination 10.1.0.5:8080
-A POSTROUTING -m comment --comment "ip-masq: ensure nat POSTROUTING directs all non-LOCAL destination traffic to our custom IP-MASQ chain" -m addrtype ! --dst-type LOCAL -j IP-MASQ
-A IP-MASQ -d 169.254.0.0/16 -j RETURN
-A IP-MASQ -d 10.0.0.0/8 -j RETURN
-A IP-MASQ -d 172.16.0.0/12 -j RETURN
-A IP-MASQ -m comment --comment "ip-masq: outbound traffic is subject to MASQUERADE (must be last in chain)" -j MASQUERADE
COMMIT
`;
const GKE_ROUTES = `ip addr add 10.96.0.10/32 dev lo
ip route replace default via 10.1.0.1 dev eth1 table 101 proto 99
ip rule add pref 30001 fwmark 0x4000/0x4000 lookup 101
ip rule add pref 30002 iif lo lookup main`;

export const CLOUDS: readonly Program[] = [
  { name: 'aws vpc cni', rules: { iptables: AWS, shell: AWS_ROUTES } },
  { name: 'gke netd, ip-masq, nodelocal', rules: { iptables: GKE, shell: GKE_ROUTES } },
];
