import { describe, expect, test } from 'vitest'
import { ObservationServer } from '../../src/http.ts'
import { jsonLog } from '../../src/log.ts'
import { Metrics } from '../../src/metrics.ts'
import { Scene } from './scene.ts'
import { uplink } from './world.ts'

describe('what a monitor sees', () => {
  test('is metrics, that the process lives, and whether it is ready, with the reasons if not', async () => {
    await using scene = await Scene.start()
    const { bridge } = scene
    const notes: string[] = []
    const observed = { metrics: () => bridge.metrics.render(), problems: () => bridge.problems(), notes: () => notes }
    await using server = await ObservationServer.listen(observed, { host: '127.0.0.1', port: 0 })
    const get = async (path: string, method = 'GET') => {
      const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method })
      return { status: response.status, body: await response.text() }
    }
    await scene.source.send(uplink(1, 1, 0))
    await expect.poll(() => scene.queue.events).toBe(0)
    expect(await get('/healthz')).toMatchObject({ status: 200 })
    expect(await get('/readyz')).toEqual({ status: 200, body: '{"problems":[],"notes":[]}\n' })
    notes.push('2 uplinks wait')
    expect(await get('/readyz')).toEqual({ status: 200, body: '{"problems":[],"notes":["2 uplinks wait"]}\n' })
    const metrics = await get('/metrics')
    expect(metrics.body).toContain('mortise_bridge_readings_total 1\n')
    expect(metrics.body).toContain('mortise_bridge_delivered_total{sink="one"} 1\n')
    expect(metrics.body).toContain('mortise_bridge_ready 1\n')
    for (const line of metrics.body.trim().split('\n')) {
      expect(line).toMatch(/^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+)$/)
    }
    scene.source.problem = 'the broker is gone'
    scene.sink.problem = 'nobody listens'
    expect(await get('/readyz')).toEqual({
      status: 503,
      body: '{"problems":["the broker is gone","one: nobody listens"],"notes":["2 uplinks wait"]}\n',
    })
    expect(await get('/healthz')).toMatchObject({ status: 200 })
    expect((await get('/metrics')).body).toContain('mortise_bridge_ready 0\n')
    expect((await get('/other')).status).toBe(404)
    expect((await get('/metrics', 'POST')).status).toBe(405)
  })

  test('names in labels cannot end the line', () => {
    const metrics = new Metrics()
    metrics.count('delivered', { sink: 'a"b\\c\nd' })
    expect(metrics.render()).toContain('{sink="a\\"b\\\\c\\nd"} 1')
  })
})

test('a log has one line of JSON for a message, and of a thousand alike it has one', () => {
  const lines: string[] = []
  let nowMs = 0
  const log = jsonLog(
    (line) => lines.push(line),
    () => nowMs,
  )
  log.warn('dropped', { reason: 'a\nb' })
  for (let n = 0; n < 1000; n++) log.warn('dropped', { reason: 'again' })
  log.info('other')
  nowMs = 1000
  log.warn('dropped', { reason: 'later' })
  expect(lines.every((line) => line.endsWith('\n') && !line.slice(0, -1).includes('\n'))).toBe(true)
  expect(lines.map((line) => JSON.parse(line) as object)).toEqual([
    { time: '1970-01-01T00:00:00.000Z', level: 'warn', message: 'dropped', reason: 'a\nb' },
    { time: '1970-01-01T00:00:00.000Z', level: 'info', message: 'other' },
    { time: '1970-01-01T00:00:01.000Z', level: 'warn', message: 'dropped', reason: 'later', alike: 1000 },
  ])
})
