import { describe, expect, test } from 'vitest'
import { Lines } from '../../src/http/backend-interfaces/lines.ts'

/** Work that ends, or leaves its place, when the test says so. */
function workplace(atOnce: number) {
  const lines = new Lines(atOnce)
  const begun: string[] = []
  const steps = new Map<string, { readonly leave: () => void; readonly end: () => void }>()
  const begin = (name: string, what: string): Promise<string> =>
    lines.run(name, (leave) => {
      begun.push(what)
      return new Promise((resolve) => {
        steps.set(what, {
          leave,
          end: () => {
            resolve(what)
          },
        })
      })
    })
  const step = (what: string) => steps.get(what)!
  return { lines, begun, begin, step }
}

describe('lines', () => {
  test('let so much of one name begin, and of another name as much', async () => {
    const { begun, begin, step } = workplace(2)
    const all = ['a1', 'a2', 'a3', 'a4'].map((what) => begin('a', what))
    const other = begin('b', 'b1')
    expect(begun).toEqual(['a1', 'a2', 'b1'])
    step('a2').end()
    expect(await all[1]).toBe('a2')
    expect(begun).toEqual(['a1', 'a2', 'b1', 'a3'])
    for (const what of ['a1', 'a3', 'b1']) step(what).end()
    await Promise.all([all[0], all[2], other])
    step('a4').end()
    expect(await all[3]).toBe('a4')
  })

  test('give the place of work that leaves it to the next, once', async () => {
    const { begun, begin, step } = workplace(1)
    const all = ['1', '2', '3'].map((what) => begin('a', what))
    step('1').leave()
    step('1').leave()
    await Promise.resolve()
    expect(begun).toEqual(['1', '2'])
    step('1').end()
    await all[0]
    expect(begun).toEqual(['1', '2'])
    step('2').end()
    await all[1]
    expect(begun).toEqual(['1', '2', '3'])
    step('3').end()
    await all[2]
  })

  test('give the place of work that fails to the next', async () => {
    const { lines, begin, step, begun } = workplace(1)
    const failing = lines.run('a', () => Promise.reject(new Error('failed')))
    const next = begin('a', 'next')
    await expect(failing).rejects.toThrow('failed')
    await Promise.resolve()
    expect(begun).toEqual(['next'])
    step('next').end()
    await next
  })
})
