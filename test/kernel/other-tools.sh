#!/bin/sh
# The tests of this folder with the nft, iptables, ipset and iproute2 of another release of Debian or Ubuntu. By hand, as root,
# with MIRROR set to the address of its packages (Ubuntu: COMPONENTS=main,universe, too):
#   test/kernel/other-tools.sh trixie npx vitest run --config test/kernel/vitest.config.ts test/kernel/programs.test.ts
# The first run of a release makes its root under ${TMPDIR:-/tmp} (debootstrap, about 300 MB).
set -e
release=$1
shift
root=${TMPDIR:-/tmp}/meshpath-tools-$release
if [ ! -e "$root/ready" ]; then
  # packages of another distribution are signed with keys that this one does not have
  debootstrap --no-check-gpg --variant=minbase --components="${COMPONENTS:-main}" \
    --include=nftables,iptables,ipset,iproute2,procps,conntrack \
    "$release" "$root" "${MIRROR:?the address of the packages of $release}" /usr/share/debootstrap/scripts/sid
  touch "$root/ready"
fi
mkdir -p "$root/wrappers"
for tool in nft iptables-nft-restore ip6tables-nft-restore iptables-nft-save ip6tables-nft-save ipset conntrack; do
  printf '#!/bin/sh\nexec chroot %s %s "$@"\n' "$root" $tool >"$root/wrappers/$tool"
done
# names of network namespaces are places of the machine itself
printf '#!/bin/sh\ncase $1 in netns | -n) exec %s "$@" ;; esac\nexec chroot %s ip "$@"\n' "$(command -v ip)" "$root" >"$root/wrappers/ip"
chmod +x "$root"/wrappers/*
PATH=$root/wrappers:$PATH exec "$@"
