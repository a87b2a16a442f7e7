import { describe, expect, test } from 'vitest'
import { printable, printableLines } from '../src/printable.ts'

describe('what others wrote', () => {
  test('begins no line of its own, and moves no cursor', () => {
    const hostile = 'partner\nmortise: HSM: ready\r\u001b[2J\u009b1A\u2028\u202e\u0000'
    expect(printable(hostile)).toBe('partner\\u{a}mortise: HSM: ready\\u{d}\\u{1b}[2J\\u{9b}1A\\u{2028}\\u{202e}\\u{0}')
  })

  test('stays as it is where a terminal only shows it', () => {
    const harmless = 'Türöffner 70b3d57ed0000000/40 — "ns.example" ✓ 門'
    expect(printable(harmless)).toBe(harmless)
  })

  test('in text of several lines, keeps their ends', () => {
    expect(printableLines('one\n\ttwo\u001b[31m\r\n')).toBe('one\n\ttwo\\u{1b}[31m\\u{d}\n')
  })
})
