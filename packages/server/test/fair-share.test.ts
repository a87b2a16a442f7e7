import { describe, expect, it } from 'vitest'
import { FairShare } from '../src/fair-share.ts'

/** How many places somebody gets that asks for `wanted`. */
function take(shares: FairShare, holder: string, wanted: number): number {
  let got = 0
  while (got < wanted && shares.enter(holder) === undefined) got += 1
  return got
}

describe('places that are shared out', () => {
  it('may all be had by one that is alone', () => {
    const shares = new FairShare(100, 200)
    expect(take(shares, 'a', 1000)).toBe(100)
    expect(shares.enter('a')).toBe('share')
    expect(shares.taken).toBe(100)
  })

  it('are there for one that comes when another has taken them all: its equal share', () => {
    const shares = new FairShare(100, 200)
    take(shares, 'a', 1000)
    expect(take(shares, 'b', 1000)).toBe(50)
    // The first one gets none before it has given back what is more than its share.
    for (let i = 0; i < 50; i++) {
      expect(shares.enter('a')).toBe('share')
      shares.leave('a')
    }
    shares.leave('a')
    expect(take(shares, 'a', 1000)).toBe(1)
  })

  it('are not counted out as long as half of them are free', () => {
    const shares = new FairShare(100, 200)
    expect(take(shares, 'b', 1)).toBe(1)
    expect(take(shares, 'c', 1)).toBe(1)
    // A third of them would be 33.
    expect(take(shares, 'a', 1000)).toBe(48)
  })

  it('are not had twice over by any number that come one after the other', () => {
    const shares = new FairShare(100, 200)
    for (let i = 0; i < 1000; i++) take(shares, `holder ${i}`, 1000)
    expect(shares.taken).toBe(200)
    expect(shares.enter('one more')).toBe('full')
    shares.leave('holder 0')
    expect(shares.enter('one more')).toBeUndefined()
  })

  it('are there for one that comes when there have become fewer of them than another holds', () => {
    const shares = new FairShare(100, 200)
    take(shares, 'a', 1000)
    shares.places = 10
    expect(take(shares, 'b', 1000)).toBe(5)
    expect(shares.enter('a')).toBe('share')
    expect(shares.taken).toBe(105)
  })

  it('are all free again after everybody has left, and leave no trace of who had them', () => {
    const shares = new FairShare(10, 20)
    for (const holder of ['a', 'b', 'a']) shares.enter(holder)
    for (const holder of ['a', 'b', 'a', 'nobody', 'a']) shares.leave(holder)
    expect(shares.taken).toBe(0)
    expect(take(shares, 'c', 1000)).toBe(10)
  })
})
