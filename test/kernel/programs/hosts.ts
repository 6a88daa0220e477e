import { chainsInLines, type Program } from './program.js';

/** firewalld 2.x on nftables (src/firewall/core/nftables.py): zones by device and source, policies, a port forward, rp_filter. */
const FIREWALLD = `table inet firewalld {
  chain mangle_PREROUTING { type filter hook prerouting priority mangle + 10; policy accept; jump mangle_PREROUTING_ZONES }
  chain mangle_PREROUTING_ZONES { ip saddr 172.18.0.0/16 goto mangle_PRE_trusted; iifname "eth0" goto mangle_PRE_public; goto mangle_PRE_public }
  chain mangle_PRE_trusted { meta nfproto { ipv4, ipv6 } accept }
  chain mangle_PRE_public { tcp dport 443 mark set 0x66 }
  chain nat_PREROUTING { type nat hook prerouting priority dstnat + 10; policy accept; jump nat_PREROUTING_ZONES }
  chain nat_PREROUTING_ZONES { iifname "eth0" goto nat_PRE_public; goto nat_PRE_public }
  chain nat_PRE_public { meta nfproto ipv4 meta l4proto tcp mark 0x66 dnat to 10.1.0.77:8080; meta nfproto ipv4 udp dport 5353 redirect to :53 }
  chain nat_POSTROUTING { type nat hook postrouting priority srcnat + 10; policy accept; jump nat_POSTROUTING_ZONES }
  chain nat_POSTROUTING_ZONES { oifname "eth1" goto nat_POST_external; goto nat_POST_public }
  chain nat_POST_external { meta nfproto ipv4 oifname != "lo" masquerade }
  chain nat_POST_public { return }
  chain nat_OUTPUT { type nat hook output priority -90; policy accept; ip daddr 127.0.0.1 tcp dport 9090 redirect to :8080 }
  chain filter_PREROUTING { type filter hook prerouting priority filter + 10; policy accept;
    icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
    meta nfproto ipv6 fib saddr . mark . iif oif missing drop
  }
  chain filter_INPUT { type filter hook input priority filter + 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    iifname "lo" accept
    ct state invalid drop
    jump filter_INPUT_ZONES
    reject with icmpx admin-prohibited
  }
  chain filter_INPUT_ZONES { ip saddr 172.18.0.0/16 goto filter_IN_trusted; iifname "eth0" goto filter_IN_public; goto filter_IN_drop }
  chain filter_IN_trusted { accept }
  chain filter_IN_drop { drop }
  chain filter_IN_public {
    tcp dport 22 accept
    tcp dport { 80, 8000-8100 } accept
    ip6 daddr fe80::/64 udp dport 546 accept
    meta l4proto { icmp, ipv6-icmp } accept
    ip saddr 10.244.1.1 udp dport 53 log prefix "fw" level info limit rate 5/minute accept
    ip protocol igmp accept
    udp dport 53 ct helper "tftp" drop
  }
  chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    iifname "lo" accept
    ct state invalid drop
    ip6 daddr { ::/96, ::ffff:0.0.0.0/96, 2002::/24, 2002:a00::/24 } reject with icmpv6 addr-unreachable
    jump filter_FORWARD_ZONES
    reject with icmpx admin-prohibited
  }
  chain filter_FORWARD_ZONES { iifname "eth0" oifname "eth1" goto filter_FWD_public; iifname "eth0" ip daddr 8.8.8.0/24 goto filter_FWD_public }
  chain filter_FWD_public { ip daddr 203.0.113.5 meta l4proto tcp th dport 443 reject with tcp reset; accept }
  chain filter_OUTPUT { type filter hook output priority filter + 10; policy accept; ct state { established, related } accept; oifname "lo" accept; ip6 daddr { ::/96, 2002::/24 } reject with icmpv6 addr-unreachable; ip daddr 8.8.8.8 tcp dport 80 drop }
}
`;

/** ufw (iptables, /etc/ufw/before.rules and user.rules of 0.36): policies DROP, user chains, limits. */
const UFW = `*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:ufw-after-input - [0:0]
:ufw-before-forward - [0:0]
:ufw-before-input - [0:0]
:ufw-before-logging-input - [0:0]
:ufw-logging-deny - [0:0]
:ufw-not-local - [0:0]
:ufw-skip-to-policy-input - [0:0]
:ufw-user-forward - [0:0]
:ufw-user-input - [0:0]
:ufw-user-limit - [0:0]
:ufw-user-limit-accept - [0:0]
-A INPUT -j ufw-before-logging-input
-A INPUT -j ufw-before-input
-A INPUT -j ufw-after-input
-A FORWARD -j ufw-before-forward
-A ufw-after-input -p udp -m udp --dport 137 -j ufw-skip-to-policy-input
-A ufw-after-input -m addrtype --dst-type BROADCAST -j ufw-skip-to-policy-input
-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-forward -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A ufw-before-forward -j ufw-user-forward
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -m conntrack --ctstate INVALID -j ufw-logging-deny
-A ufw-before-input -m conntrack --ctstate INVALID -j DROP
-A ufw-before-input -p icmp -m icmp --icmp-type 3 -j ACCEPT
-A ufw-before-input -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A ufw-before-input -p udp -m udp --sport 67 --dport 68 -j ACCEPT
-A ufw-before-input -j ufw-not-local
-A ufw-before-input -d 224.0.0.251/32 -p udp -m udp --dport 5353 -j ACCEPT
-A ufw-before-input -j ufw-user-input
-A ufw-logging-deny -m conntrack --ctstate INVALID -m limit --limit 3/min --limit-burst 10 -j RETURN
-A ufw-logging-deny -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW BLOCK] "
-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
-A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN
-A ufw-not-local -m addrtype --dst-type BROADCAST -j RETURN
-A ufw-not-local -m limit --limit 3/min --limit-burst 10 -j ufw-logging-deny
-A ufw-not-local -j DROP
-A ufw-skip-to-policy-input -j DROP
-A ufw-user-forward -i eth0 -o eth1 -p tcp -m tcp --dport 80 -j ACCEPT
-A ufw-user-input -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -m recent --set --name DEFAULT --mask 255.255.255.255 --rsource
-A ufw-user-input -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -m recent --update --seconds 30 --hitcount 6 --name DEFAULT --mask 255.255.255.255 --rsource -j ufw-user-limit
-A ufw-user-input -p tcp -m tcp --dport 22 -j ufw-user-limit-accept
-A ufw-user-input -s 10.244.0.0/16 -p tcp -m multiport --dports 80,443,8000:8100 -m comment --comment "'dapp_Web'" -j ACCEPT
-A ufw-user-input -s 203.0.113.5/32 -j REJECT --reject-with icmp-port-unreachable
-A ufw-user-limit -m limit --limit 3/min -j LOG --log-prefix "[UFW LIMIT BLOCK] "
-A ufw-user-limit -j REJECT --reject-with icmp-port-unreachable
-A ufw-user-limit-accept -j ACCEPT
COMMIT
`;

/** Docker's iptables (28) and libnetwork's ingress, user chain, isolation stages. */
const DOCKER = `*raw
-A PREROUTING -d 10.1.0.77/32 ! -i eth1 -j DROP
-A PREROUTING -d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 9090 -j DROP
COMMIT
*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-BRIDGE - [0:0]
:DOCKER-CT - [0:0]
:DOCKER-FORWARD - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER -d 10.1.0.77/32 ! -i eth1 -o eth1 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER ! -i eth1 -o eth1 -j DROP
-A DOCKER-BRIDGE -o eth1 -j DOCKER
-A DOCKER-CT -o eth1 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i eth1 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i eth1 ! -o eth1 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-USER -s 8.8.8.8/32 -j DROP
COMMIT
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 10.1.0.0/24 ! -o eth1 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i eth1 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.1.0.77:80
COMMIT
`;

/** netavark's nftables (1.10 on): port maps per protocol, set mark for hairpin, isolation. */
const NETAVARK = `table inet netavark {
  chain INPUT { type filter hook input priority filter; policy accept; ip saddr 10.1.0.0/24 meta l4proto { tcp, udp } th dport 53 accept }
  chain FORWARD { type filter hook forward priority filter; policy accept; ct state invalid drop; jump NETAVARK-ISOLATION-1; ip daddr 10.1.0.0/24 ct state established,related accept; ip saddr 10.1.0.0/24 accept; ip daddr 10.1.0.77 drop }
  chain POSTROUTING { type nat hook postrouting priority srcnat; policy accept; meta mark & 0x00002000 == 0x00002000 masquerade; ip saddr 10.1.0.0/24 jump nv_2f259bab_10_1_0_0_nm24 }
  chain PREROUTING { type nat hook prerouting priority dstnat; policy accept; fib daddr type local jump NETAVARK-HOSTPORT-DNAT }
  chain OUTPUT { type nat hook output priority -100; policy accept; fib daddr type local jump NETAVARK-HOSTPORT-DNAT }
  chain NETAVARK-HOSTPORT-DNAT { tcp dport 8080 jump nv_2f259bab_10_1_0_0_nm24_dnat; udp dport 5353 jump nv_2f259bab_10_1_0_0_nm24_dnat; tcp dport 15000-15010 dnat ip to 10.1.0.77:15000-15010 }
  chain NETAVARK-HOSTPORT-SETMARK { meta mark set meta mark | 0x00002000 }
  chain NETAVARK-ISOLATION-1 { iifname "podman1" oifname != "podman1" jump NETAVARK-ISOLATION-2 }
  chain NETAVARK-ISOLATION-2 { oifname "podman1" drop }
  chain nv_2f259bab_10_1_0_0_nm24 { ip daddr 10.1.0.0/24 accept; ip daddr != 224.0.0.0/4 masquerade }
  chain nv_2f259bab_10_1_0_0_nm24_dnat { ip saddr 10.1.0.0/24 tcp dport 8080 jump NETAVARK-HOSTPORT-SETMARK; ip saddr 127.0.0.1 tcp dport 8080 jump NETAVARK-HOSTPORT-SETMARK; tcp dport 8080 dnat ip to 10.1.0.77:80; udp dport 5353 dnat ip to 10.1.0.77:53 }
}
`;

/** tailscaled on Linux (util/linuxfw): marks 0x80000, 100.64.0.0/10, rules 5210 to 5270, table 52. */
const TAILSCALE = `*filter
:ts-forward - [0:0]
:ts-input - [0:0]
-A INPUT -j ts-input
-A FORWARD -j ts-forward
-A ts-forward -i eth1 -j MARK --set-xmark 0x40000/0xff0000
-A ts-forward -m mark --mark 0x40000/0xff0000 -j ACCEPT
-A ts-forward -s 100.64.0.0/10 -o eth1 -j DROP
-A ts-forward -o eth1 -j ACCEPT
-A ts-input -s 10.1.0.5/32 -i lo -j ACCEPT
-A ts-input -s 100.115.92.0/23 ! -i eth1 -j RETURN
-A ts-input -s 100.64.0.0/10 ! -i eth1 -j DROP
-A ts-input -i eth1 -j ACCEPT
-A ts-input -p udp -m udp --dport 41641 -j ACCEPT
COMMIT
*nat
:ts-postrouting - [0:0]
-A POSTROUTING -j ts-postrouting
-A ts-postrouting -m mark --mark 0x40000/0xff0000 -j MASQUERADE
COMMIT
`;
const TAILSCALE_ROUTES = `ip rule add pref 5210 fwmark 0x80000/0xff0000 lookup main
ip rule add pref 5230 fwmark 0x80000/0xff0000 lookup default
ip rule add pref 5250 fwmark 0x80000/0xff0000 unreachable
ip rule add pref 5270 lookup 101
ip route replace 100.64.0.0/10 dev eth1 table 101 proto 99
ip route replace 8.8.8.8 dev eth1 table 101 proto 99
ip route replace throw 10.244.0.0/16 table 101 proto 99`;

/** A hand-written nft firewall: rate limits per source, hardening of flags and fragments, a blacklist with timeouts, fail2ban's set. */
const BY_HAND = `table inet filter {
  set blackhole { type ipv4_addr; flags interval; auto-merge; elements = { 203.0.113.0/24, 8.8.8.8 } }
  set addr-set-sshd { type ipv4_addr; elements = { 172.18.0.3 } }
  set flood { type ipv4_addr; size 65535; flags dynamic,timeout; timeout 1m; }
  set seen { type ipv4_addr . inet_service; size 65535; flags dynamic,timeout; timeout 1m; }
  counter web { packets 0 bytes 0 }
  chain prerouting { type filter hook prerouting priority -300; policy accept;
    ip frag-off & 0x1fff != 0 counter drop
    tcp flags & (fin|syn) == (fin|syn) drop
    tcp flags & (syn|rst) == (syn|rst) drop
    tcp flags & (fin|syn|rst|psh|ack|urg) == 0x0 drop
    exthdr frag exists drop
  }
  chain input { type filter hook input priority filter; policy drop;
    ct state vmap { established : accept, related : accept, invalid : drop }
    iif "lo" accept
    ip saddr @blackhole counter drop
    tcp dport 22 ip saddr @addr-set-sshd reject
    tcp dport 22 ct state new add @seen { ip saddr . tcp dport } accept
    tcp dport 7070 update @flood { ip saddr limit rate over 1000/second burst 5 packets } drop
    tcp dport { 80, 443, 8080 } counter name "web" accept
    udp dport 53 accept
    icmp type { echo-request, destination-unreachable, time-exceeded } limit rate 1000/second accept
    icmpv6 type { echo-request, nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept
    igmp type membership-query accept
    meta pkttype broadcast drop
    log prefix "dropped: " limit rate 3/minute
  }
  chain forward { type filter hook forward priority filter; policy accept; iifname "eth0" oifname "eth1" ip daddr . tcp dport { 10.1.0.77 . 80, 10.1.0.0/24 . 8000-9000 } accept; meta mark & 0xff == 1 drop }
  chain output { type filter hook output priority filter; policy accept; meta skuid { 33, 1000 } ip daddr != 10.0.0.0/8 tcp dport != { 80, 443 } reject; meta skgid 33 udp dport 53 accept; tcp dport 25 drop }
}
`;

/** wg-quick (src/wg-quick/linux.bash): fwmark 51820, table 51820, suppress_prefixlength, the address kept to its device. */
const WG_QUICK = `*raw
-A PREROUTING -d 10.1.0.5/32 ! -i eth1 -m addrtype ! --src-type LOCAL -m comment --comment "wg-quick(8) rule for wg0" -j DROP
COMMIT
*mangle
-A PREROUTING -p udp -m comment --comment "wg-quick(8) rule for wg0" -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff
-A POSTROUTING -p udp -m mark --mark 0xca6c -m comment --comment "wg-quick(8) rule for wg0" -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff
COMMIT
`;
const WG_ROUTES = `ip route replace default dev eth1 scope link table 101 proto 99
ip rule add pref 32765 not fwmark 0xca6c lookup 101
ip rule add pref 32764 lookup main suppress_prefixlength 0
sysctl -q -w net.ipv4.conf.all.src_valid_mark=1`;

export const HOSTS: readonly Program[] = [
  { name: 'firewalld', rules: { nft: chainsInLines(FIREWALLD) } },
  { name: 'ufw', rules: { iptables: UFW } },
  { name: 'docker', rules: { iptables: DOCKER } },
  { name: 'netavark', rules: { nft: chainsInLines(NETAVARK) } },
  { name: 'tailscale', rules: { iptables: TAILSCALE, shell: TAILSCALE_ROUTES } },
  { name: 'a firewall by hand', rules: { nft: chainsInLines(BY_HAND) } },
  { name: 'wg-quick', rules: { iptables: WG_QUICK, shell: WG_ROUTES } },
];
