/** An IPv6 host is given a /64 and has all of its addresses: so these are its first four groups of 16 bits. */
const NETWORK_GROUPS = 4
const IPV6_GROUPS = 8

/**
 * Who counts as one holder among addresses: an IPv4 address, also one mapped into IPv6, or an IPv6 /64.
 * @param address as `remoteAddress` of a socket has it, with or without a zone
 */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1]
  if (mapped !== undefined) return mapped
  const [head = '', tail] = address.replace(/%.*/, '').split('::')
  const before = groupsOf(head)
  const after = groupsOf(tail ?? '')
  const zeros = Array<string>(Math.max(0, IPV6_GROUPS - before.length - after.length)).fill('0')
  return `${[...before, ...zeros, ...after].slice(0, NETWORK_GROUPS).join(':')}::/64`
}

function groupsOf(part: string): string[] {
  return part === '' ? [] : part.split(':')
}
