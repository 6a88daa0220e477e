import { chainsInLines, type Program } from './program.js';

/** Calico's Felix on iptables (felix/rules, 3.29): policy of one endpoint, marks 0xffff0000, sets cali40*. */
const CALICO_SETS = `create cali40s:ns hash:net family inet hashsize 1024 maxelem 1048576
add cali40s:ns 10.244.1.1
add cali40s:ns 10.244.2.0/24
create cali40all-ipam-pools hash:net family inet hashsize 1024 maxelem 1048576
add cali40all-ipam-pools 10.244.0.0/16
create cali40masq-ipam-pools hash:net family inet
add cali40masq-ipam-pools 10.244.0.0/16
create cali40this-host hash:ip family inet
add cali40this-host 10.1.0.5
add cali40this-host 127.0.0.1
create cali40n:port hash:ip,port family inet
add cali40n:port 10.244.1.1,tcp:80
add cali40n:port 10.1.0.77,tcp:8080
`;
const CALICO = `*raw
:cali-PREROUTING - [0:0]
:cali-OUTPUT - [0:0]
:cali-rpf-skip - [0:0]
-A PREROUTING -m comment --comment "cali:6gwbT8clXdHdC1b1" -j cali-PREROUTING
-A OUTPUT -m comment --comment "cali:tVnHkvAo15HuiPy0" -j cali-OUTPUT
-A cali-OUTPUT -j MARK --set-xmark 0x0/0xf0000
-A cali-PREROUTING -j MARK --set-xmark 0x0/0xf0000
-A cali-PREROUTING -i cali+ -j MARK --set-xmark 0x40000/0x40000
-A cali-PREROUTING -m mark --mark 0x40000/0x40000 -m rpfilter --validmark --invert -j DROP
-A cali-PREROUTING -m mark --mark 0x0/0x40000 -j ACCEPT
COMMIT
*mangle
:cali-POSTROUTING - [0:0]
:cali-PREROUTING - [0:0]
:cali-from-host-endpoint - [0:0]
-A PREROUTING -j cali-PREROUTING
-A POSTROUTING -j cali-POSTROUTING
-A cali-POSTROUTING -m mark --mark 0x10000/0x10000 -j RETURN
-A cali-POSTROUTING -j MARK --set-xmark 0x0/0xf0000
-A cali-POSTROUTING -m conntrack --ctstate DNAT -j MARK --set-xmark 0x20000/0x20000
-A cali-PREROUTING -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A cali-PREROUTING -m mark --mark 0x10000/0x10000 -j ACCEPT
-A cali-PREROUTING -j cali-from-host-endpoint
COMMIT
*filter
:cali-FORWARD - [0:0]
:cali-INPUT - [0:0]
:cali-OUTPUT - [0:0]
:cali-from-wl-dispatch - [0:0]
:cali-fw-eth0 - [0:0]
:cali-pri-kns.ns - [0:0]
:cali-pro-kns.ns - [0:0]
:cali-to-wl-dispatch - [0:0]
:cali-tw-eth1 - [0:0]
:cali-wl-to-host - [0:0]
-A INPUT -j cali-INPUT
-A FORWARD -j cali-FORWARD
-A FORWARD -m mark --mark 0x10000/0x10000 -j ACCEPT
-A FORWARD -j MARK --set-xmark 0x10000/0x10000
-A OUTPUT -j cali-OUTPUT
-A cali-FORWARD -j MARK --set-xmark 0x0/0xe0000
-A cali-FORWARD -m mark --mark 0x0/0x10000 -j MARK --set-xmark 0x0/0x1000
-A cali-FORWARD -i eth0 -j cali-from-wl-dispatch
-A cali-FORWARD -o eth1 -j cali-to-wl-dispatch
-A cali-FORWARD -m comment --comment "Policy explicitly accepted packet." -m mark --mark 0x10000/0x10000 -j ACCEPT
-A cali-INPUT -p udp -m comment --comment "Allow IPv4 VXLAN packets from whitelisted hosts" -m multiport --dports 4789 -m set --match-set cali40all-ipam-pools src -m addrtype --dst-type LOCAL -j ACCEPT
-A cali-INPUT -i eth0 -g cali-wl-to-host
-A cali-INPUT -m mark --mark 0x10000/0x10000 -j ACCEPT
-A cali-OUTPUT -m mark --mark 0x10000/0x10000 -j ACCEPT
-A cali-OUTPUT -o cali+ -j RETURN
-A cali-OUTPUT -j MARK --set-xmark 0x0/0xf0000
-A cali-OUTPUT -m conntrack ! --ctstate DNAT -j RETURN
-A cali-OUTPUT -m mark --mark 0x10000/0x10000 -j ACCEPT
-A cali-from-wl-dispatch -i eth0 -g cali-fw-eth0
-A cali-from-wl-dispatch -m comment --comment "Unknown interface" -j DROP
-A cali-fw-eth0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A cali-fw-eth0 -m conntrack --ctstate INVALID -j DROP
-A cali-fw-eth0 -j MARK --set-xmark 0x0/0x30000
-A cali-fw-eth0 -p udp -m comment --comment "Drop VXLAN encapped packets originating in workloads" -m multiport --dports 4789 -j DROP
-A cali-fw-eth0 -p ipencap -m comment --comment "Drop IPinIP encapped packets originating in workloads" -j DROP
-A cali-fw-eth0 -j cali-pro-kns.ns
-A cali-fw-eth0 -m comment --comment "Return if profile accepted" -m mark --mark 0x10000/0x10000 -j RETURN
-A cali-fw-eth0 -m comment --comment "Drop if no profiles matched" -j DROP
-A cali-pri-kns.ns -p tcp -m set --match-set cali40s:ns src -m multiport --dports 80,8080:8090 -j MARK --set-xmark 0x10000/0x10000
-A cali-pri-kns.ns -m mark --mark 0x10000/0x10000 -j RETURN
-A cali-pri-kns.ns -p tcp -m set --match-set cali40n:port dst,dst -j MARK --set-xmark 0x10000/0x10000
-A cali-pri-kns.ns -m mark --mark 0x10000/0x10000 -j RETURN
-A cali-pri-kns.ns -p icmp -m icmp --icmp-type 8 -j MARK --set-xmark 0x10000/0x10000
-A cali-pro-kns.ns ! -s 8.8.8.8/32 -m set ! --match-set cali40this-host dst -j MARK --set-xmark 0x10000/0x10000
-A cali-pro-kns.ns -m mark --mark 0x10000/0x10000 -m comment --comment "MARK set - return" -j RETURN
-A cali-to-wl-dispatch -o eth1 -g cali-tw-eth1
-A cali-to-wl-dispatch -m comment --comment "Unknown interface" -j DROP
-A cali-tw-eth1 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A cali-tw-eth1 -m conntrack --ctstate INVALID -j DROP
-A cali-tw-eth1 -j MARK --set-xmark 0x0/0x30000
-A cali-tw-eth1 -m comment --comment "Start of tier default" -j MARK --set-xmark 0x0/0x20000
-A cali-tw-eth1 -m mark --mark 0x0/0x20000 -j cali-pri-kns.ns
-A cali-tw-eth1 -m mark --mark 0x10000/0x10000 -j RETURN
-A cali-tw-eth1 -m mark --mark 0x0/0x20000 -m comment --comment "Drop if no policies passed packet" -j DROP
-A cali-wl-to-host -p udp -m udp --dport 53 -j ACCEPT
-A cali-wl-to-host -j cali-from-wl-dispatch
-A cali-wl-to-host -m comment --comment "Configured DefaultEndpointToHostAction" -j ACCEPT
COMMIT
*nat
:cali-OUTPUT - [0:0]
:cali-POSTROUTING - [0:0]
:cali-PREROUTING - [0:0]
:cali-fip-dnat - [0:0]
:cali-fip-snat - [0:0]
:cali-nat-outgoing - [0:0]
-A PREROUTING -j cali-PREROUTING
-A OUTPUT -j cali-OUTPUT
-A POSTROUTING -j cali-POSTROUTING
-A cali-OUTPUT -j cali-fip-dnat
-A cali-POSTROUTING -j cali-fip-snat
-A cali-POSTROUTING -j cali-nat-outgoing
-A cali-POSTROUTING -o eth1 -m addrtype ! --src-type LOCAL --limit-iface-out -m addrtype --src-type LOCAL -j MASQUERADE --random-fully
-A cali-PREROUTING -j cali-fip-dnat
-A cali-fip-dnat -d 203.0.113.5/32 -j DNAT --to-destination 10.244.2.9
-A cali-fip-snat -s 10.244.2.9/32 -d 10.244.2.9/32 -j SNAT --to-source 203.0.113.5
-A cali-nat-outgoing -m set --match-set cali40masq-ipam-pools src -m set ! --match-set cali40all-ipam-pools dst -m set ! --match-set cali40this-host dst -j MASQUERADE --random-fully
COMMIT
`;

/** Calico's nftables mode (3.29): one table, maps of verdicts by device, marks. */
const CALICO_NFT = `table ip calico {
  set cali40s-ns { type ipv4_addr; flags interval; elements = { 10.244.1.1, 10.244.2.0/24 } }
  set cali40n-port { type ipv4_addr . inet_proto . inet_service; elements = { 10.244.1.1 . tcp . 80, 10.1.0.77 . tcp . 8080 } }
  map cali-rw-dispatch { type ifname : verdict; elements = { "eth0" : goto filter-cali-fw-eth0 } }
  map filter-cali-tw-dispatch { type ifname : verdict; elements = { "eth1" : goto filter-cali-tw-eth1, "cali123" : goto filter-cali-tw-eth1 } }
  chain raw-PREROUTING { type filter hook prerouting priority raw; policy accept; meta mark set mark and 0xfff0ffff; iifname "cali*" meta mark set mark or 0x40000; meta mark & 0x00040000 == 0x00040000 fib saddr . mark . iif oif 0 drop }
  chain mangle-PREROUTING { type filter hook prerouting priority mangle; policy accept; ct state established,related accept; meta mark & 0x00010000 == 0x00010000 accept }
  chain filter-FORWARD { type filter hook forward priority filter; policy accept;
    meta mark set mark and 0xfff1ffff
    iifname vmap @cali-rw-dispatch
    oifname vmap @filter-cali-tw-dispatch
    meta mark & 0x00010000 == 0x00010000 accept
    meta mark set mark or 0x10000
  }
  chain filter-INPUT { type filter hook input priority filter; policy accept; udp dport 4789 ip saddr @cali40s-ns fib daddr type local accept; iifname "eth0" goto filter-wl-to-host; meta mark & 0x00010000 == 0x00010000 accept }
  chain filter-wl-to-host { iifname vmap @cali-rw-dispatch; accept }
  chain filter-cali-fw-eth0 { ct state established,related accept; ct state invalid drop; meta mark set mark and 0xfffcffff; ip protocol 4 drop; udp dport { 4789 } drop; ip saddr != 8.8.8.8 meta mark set mark or 0x10000; meta mark & 0x00010000 == 0x00010000 return; drop }
  chain filter-cali-tw-eth1 { ct state established,related accept; meta mark set mark and 0xfffcffff; meta mark & 0x00020000 == 0x00000000 jump filter-cali-pi; meta mark & 0x00010000 == 0x00010000 return; meta mark & 0x00020000 == 0 drop }
  chain filter-cali-pi { ip saddr @cali40s-ns tcp dport { 80, 8080-8090 } meta mark set mark or 0x10000; ip daddr . meta l4proto . th dport @cali40n-port meta mark set mark or 0x10000; icmp type 8 meta mark set mark or 0x10000; limit rate 5/second burst 10 packets log prefix "calico" }
  chain nat-PREROUTING { type nat hook prerouting priority dstnat; policy accept; ip daddr 203.0.113.5 dnat to 10.244.2.9 }
  chain nat-OUTPUT { type nat hook output priority -100; policy accept; ip daddr 203.0.113.5 dnat to 10.244.2.9 }
  chain nat-POSTROUTING { type nat hook postrouting priority srcnat; policy accept; ip saddr @cali40s-ns ip daddr != 10.244.0.0/16 fib daddr type != local masquerade fully-random; oifname "eth1" fib saddr . oif type != local fib saddr type local masquerade }
}
`;

/** Cilium's iptables (pkg/datapath/iptables/iptables.go, 1.16) with its own programs left out: proxy marks, NOTRACK, masquerade. */
const CILIUM = `*raw
:CILIUM_OUTPUT_raw - [0:0]
:CILIUM_PRE_raw - [0:0]
-A PREROUTING -m comment --comment "cilium-feeder: CILIUM_PRE_raw" -j CILIUM_PRE_raw
-A OUTPUT -m comment --comment "cilium-feeder: CILIUM_OUTPUT_raw" -j CILIUM_OUTPUT_raw
-A CILIUM_OUTPUT_raw -d 10.244.0.0/16 -m comment --comment "cilium: NOTRACK for pod traffic" -j CT --notrack
-A CILIUM_OUTPUT_raw -o lxc+ -m mark --mark 0xa00/0xfffffeff -m comment --comment "cilium: NOTRACK for proxy return traffic" -j CT --notrack
-A CILIUM_OUTPUT_raw -o lxc+ -m mark --mark 0x800/0xe00 -j CT --notrack
-A CILIUM_PRE_raw -m mark --mark 0x200/0xf00 -m comment --comment "cilium: NOTRACK for proxy traffic" -j CT --notrack
COMMIT
*mangle
:CILIUM_POST_mangle - [0:0]
:CILIUM_PRE_mangle - [0:0]
-A PREROUTING -j CILIUM_PRE_mangle
-A POSTROUTING -j CILIUM_POST_mangle
-A CILIUM_PRE_mangle ! -o lo -m socket --transparent -m mark ! --mark 0xe00/0xf00 -m mark ! --mark 0x800/0xf00 -m comment --comment "cilium: any->pod redirect proxied traffic to host proxy" -j MARK --set-xmark 0x200/0xffffffff
-A CILIUM_PRE_mangle -p tcp -m mark --mark 0x3a90200 -m comment --comment "cilium: TPROXY to host proxy" -j TPROXY --on-port 15006 --on-ip 127.0.0.1 --tproxy-mark 0x200/0xffffffff
COMMIT
*filter
:CILIUM_FORWARD - [0:0]
:CILIUM_INPUT - [0:0]
:CILIUM_OUTPUT - [0:0]
-A INPUT -j CILIUM_INPUT
-A FORWARD -j CILIUM_FORWARD
-A OUTPUT -j CILIUM_OUTPUT
-A CILIUM_FORWARD -o eth1 -m comment --comment "cilium: any->cluster on cilium_host forward accept" -j ACCEPT
-A CILIUM_FORWARD -i lxc+ -j ACCEPT
-A CILIUM_INPUT -m mark --mark 0x200/0xf00 -m comment --comment "cilium: ACCEPT for proxy traffic" -j ACCEPT
-A CILIUM_OUTPUT -m mark --mark 0xa00/0xe00 -j ACCEPT
-A CILIUM_OUTPUT -m mark ! --mark 0xe00/0xf00 -m mark ! --mark 0xd00/0xf00 -m mark ! --mark 0x400/0xf00 -m mark ! --mark 0xa00/0xe00 -m mark ! --mark 0x800/0xe00 -m mark ! --mark 0xf00/0xf00 -m comment --comment "cilium: host->any mark as from host" -j MARK --set-xmark 0xc00/0xf00
COMMIT
*nat
:CILIUM_OUTPUT_nat - [0:0]
:CILIUM_POST_nat - [0:0]
:CILIUM_PRE_nat - [0:0]
-A PREROUTING -j CILIUM_PRE_nat
-A OUTPUT -j CILIUM_OUTPUT_nat
-A POSTROUTING -j CILIUM_POST_nat
-A CILIUM_POST_nat -s 10.244.1.0/24 ! -d 10.244.1.0/24 ! -o cilium_+ -m comment --comment "cilium masquerade non-cluster" -j MASQUERADE --random-fully
-A CILIUM_POST_nat -m mark --mark 0xa00/0xe00 -m comment --comment "exclude proxy return traffic from masquerade" -j ACCEPT
-A CILIUM_POST_nat ! -s 10.244.1.0/24 ! -d 10.244.1.0/24 -o eth1 -m comment --comment "cilium host->cluster masquerade" -j SNAT --to-source 10.1.0.5
-A CILIUM_POST_nat -s 127.0.0.1/32 -o eth1 -m comment --comment "cilium host->cluster from 127.0.0.1 masquerade" -j SNAT --to-source 10.1.0.5
-A CILIUM_POST_nat -o eth1 -m mark --mark 0xf00/0xf00 -m conntrack --ctstate DNAT -m comment --comment "hairpin traffic that originated from a local pod" -j SNAT --to-source 10.1.0.5
COMMIT
`;
const CILIUM_ROUTES = `ip rule add pref 9 fwmark 0x200/0xf00 lookup 102
ip route replace local default dev lo table 102 proto 99
ip rule add pref 10 fwmark 0xa00/0xf00 lookup 101
ip route replace default via 10.244.1.9 dev eth0 table 101 proto 99
ip rule del pref 0
ip rule add pref 100 lookup local`;

export const NETWORKS: readonly Program[] = [
  { name: 'calico', rules: { ipset: CALICO_SETS, iptables: CALICO } },
  { name: 'calico nft', rules: { nft: chainsInLines(CALICO_NFT) } },
  { name: 'cilium', rules: { iptables: CILIUM, shell: CILIUM_ROUTES } },
];
