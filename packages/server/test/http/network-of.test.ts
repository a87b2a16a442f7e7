import { describe, expect, it } from 'vitest'
import { FairShare } from '../../src/fair-share.ts'
import { networkOf } from '../../src/http/network-of.ts'

describe('the network of an address', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['192.0.2.8', '192.0.2.8'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::1', '2001:db8:1:2::/64'],
    ['2001:db8:1:3::1', '2001:db8:1:3::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:db8::2:3:4:5:6', '2001:db8:0:2::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
  ])('of %s is %s', (address, network) => {
    expect(networkOf(address)).toBe(network)
  })
})

describe('places that are shared out among networks', () => {
  it('are not taken by one host that uses every address of its /64', () => {
    const shares = new FairShare(100, 200)
    const addresses = Array.from({ length: 1000 }, (_, index) => `2001:db8:1:2::${index.toString(16)}`)
    const taken = addresses.filter((address) => shares.enter(networkOf(address)) === undefined)
    expect(taken).toHaveLength(100)
    expect(shares.enter(networkOf('2001:db8:1:3::1'))).toBeUndefined()
    expect(shares.enter(networkOf('::ffff:192.0.2.7'))).toBeUndefined()
  })
})
