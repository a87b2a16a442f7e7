import { afterEach, expect, it, vi } from 'vitest'
import { Metrics } from '../../src/http/metrics.ts'
import { OverloadLog } from '../../src/http/overload-log.ts'

afterEach(() => {
  vi.useRealTimers()
})

it('overload is counted, and told once a minute, however much there is', () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  const lines: string[] = []
  const metrics = new Metrics()
  const log = new OverloadLog(metrics, (line) => lines.push(line))
  for (let i = 0; i < 1000; i++) log.write('message', 'share')
  vi.advanceTimersByTime(59_000)
  log.write('connection', 'room')
  expect(lines).toEqual(['overloaded (message: share); mortise_overload_total in /metrics says how much'])
  vi.advanceTimersByTime(1000)
  log.write('connection', 'room')
  expect(lines[1]).toMatch(/^overloaded \(connection: room\)/)
  expect(metrics.render()).toContain('mortise_overload_total{what="message",reason="share"} 1000\n')
  expect(metrics.render()).toContain('mortise_overload_total{what="connection",reason="room"} 2\n')
})
