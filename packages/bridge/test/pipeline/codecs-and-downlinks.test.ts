import { describe, expect, test } from 'vitest'
import { codeOf } from '../errors.ts'
import { Scene } from './scene.ts'
import { crypt, devEuiOf, join, uplink } from './world.ts'

const DOOR = {
  name: 'door',
  source: `function decodeUplink({ bytes, fPort }) {
    var text = String.fromCharCode.apply(null, bytes)
    if (text === 'throw') throw new Error('planted')
    if (text === 'loop') for (;;);
    if (text === 'error') return { errors: ['not a door'] }
    return { data: { text: text, fPort: fPort } }
  }
  function encodeDownlink({ data }) {
    if (data.bad) return { errors: ['bad'] }
    return { bytes: [data.lock ? 1 : 0], fPort: 9 }
  }`,
}
const LAMP = { name: 'lamp', source: 'function decodeUplink() { return { data: { lamp: true } } }' }
const NEVER = { name: 'broken', source: 'function (' }

describe('a codec', () => {
  const choices = [
    { codec: LAMP, devices: [], profiles: [] },
    { codec: DOOR, devices: [devEuiOf(1).toUpperCase()], profiles: ['door'] },
    { codec: NEVER, devices: [devEuiOf(3)], profiles: [] },
  ]

  test('is chosen by device, by profile, or for all others', async () => {
    await using scene = await Scene.start({ bridge: { codecChoices: choices } })
    await scene.source.send(
      uplink(1, 1, 0, { text: 'a' }),
      uplink(2, 1, 0, { text: 'b', profile: 'door' }),
      uplink(4, 1, 0),
    )
    await expect.poll(() => scene.sink.received).toHaveLength(3)
    const objects = new Map(scene.sink.received.map(({ reading }) => [reading?.devEui, reading?.object]))
    expect(objects).toEqual(
      new Map<unknown, unknown>([
        [devEuiOf(1), { text: 'a', fPort: 2 }],
        [devEuiOf(2), { text: 'b', fPort: 2 }],
        [devEuiOf(4), { lamp: true }],
      ]),
    )
    const [{ event } = { event: { body: new Uint8Array() } }] = scene.sink.received
    expect(JSON.parse(Buffer.from(event.body).toString())).toHaveProperty('object')
  })

  test.each([
    ['throw', 1, 'door: codec_threw: ', 'codec="door",code="codec_threw"'],
    ['loop', 1, 'door: codec_timeout: ', 'codec="door",code="codec_timeout"'],
    ['error', 1, 'door: codec_errors: not a door', 'codec="door",code="codec_errors"'],
    ['any', 3, 'broken: codec_syntax: ', 'codec="broken",code="codec_syntax"'],
  ])(
    'that fails (%s) is named in the reading, which has its bytes, and is counted',
    async (text, device, says, labels) => {
      await using scene = await Scene.start({ bridge: { codecChoices: choices } })
      await scene.source.send(uplink(device, 1, 0, { text }), uplink(2, 1, 0))
      await expect.poll(() => scene.sink.received).toHaveLength(2)
      const reading = scene.sink.received.find(({ reading }) => reading?.devEui === devEuiOf(device))?.reading
      expect(reading?.codecError).toContain(says)
      expect(reading?.object).toBeUndefined()
      expect(Buffer.from(reading?.data ?? '', 'base64').toString()).toBe(text)
      expect(scene.bridge.metrics.render()).toContain(`mortise_bridge_codec_errors_total{${labels}} 1`)
      expect(JSON.stringify(scene.lines)).not.toContain('planted')
    },
  )
})

describe('a downlink', () => {
  const command = (device: number, text = 'lock') => ({
    devEui: devEuiOf(device),
    fPort: 5,
    confirmed: true,
    payload: Buffer.from(text),
  })

  async function withDevice(): Promise<Scene> {
    const scene = await Scene.start({ bridge: { codecChoices: [{ codec: DOOR, devices: [], profiles: ['door'] }] } })
    await scene.source.send(uplink(1, 1, 0, { text: 'a', profile: 'door' }))
    await expect.poll(() => scene.queue.events).toBe(0)
    return scene
  }

  test('is sealed, and sent where the last event of the device said', async () => {
    await using scene = await withDevice()
    await scene.sink.command(command(1))
    expect(scene.path.sent).toMatchObject([
      { devEui: devEuiOf(1), fPort: 5, fCnt: 0, confirmed: true, address: `network/${devEuiOf(1)}` },
    ])
    expect(scene.path.sent[0]?.frmPayload).toEqual(crypt(1, 1, 'down', 0, Buffer.from('lock')))
    scene.path.next = 20
    await scene.sink.command(command(1, 'again'))
    expect(scene.path.sent[1]).toMatchObject({ fCnt: 20, frmPayload: crypt(1, 1, 'down', 20, Buffer.from('again')) })
    expect(scene.bridge.metrics.render()).toContain('mortise_bridge_downlinks_total{outcome="sent"} 2')
  })

  test('of an object goes through the codec of the device, also after a join told no profile', async () => {
    await using scene = await withDevice()
    await scene.source.send(join(1, 1))
    await expect.poll(() => scene.queue.events).toBe(0)
    await scene.sink.command({ ...command(1), payload: { lock: true } })
    expect(scene.path.sent).toMatchObject([{ fPort: 9, frmPayload: crypt(1, 1, 'down', 0, Uint8Array.of(1)) }])
    expect(await codeOf(() => scene.sink.command({ ...command(1), payload: { bad: true } }))).toBe('downlink_refused')
    expect(scene.bridge.metrics.render()).toContain('codec_errors_total{codec="door",code="codec_errors"} 1')
  })

  test('whose fate the network does not tell is sent again as the same frame, and the next one under another counter', async () => {
    await using scene = await withDevice()
    scene.path.outcomes.push('downlink_unknown', 'downlink_unknown')
    await Promise.all([scene.sink.command(command(1, 'one')), scene.sink.command(command(1, 'two'))])
    expect(scene.path.sent.map(({ fCnt }) => fCnt)).toEqual([0, 0, 0, 1])
    const [first, second, third] = scene.path.sent
    expect(second?.frmPayload).toEqual(first?.frmPayload)
    expect(third?.frmPayload).toEqual(first?.frmPayload)
  })

  test('that is refused because the network has counted further is sealed once more', async () => {
    await using scene = await withDevice()
    scene.path.outcomes.push('downlink_refused')
    scene.path.nextAfterRefusal = 40
    await scene.sink.command(command(1, 'late'))
    expect(scene.path.sent.map(({ fCnt }) => fCnt)).toEqual([0, 40])
    expect(scene.path.sent[1]?.frmPayload).toEqual(crypt(1, 1, 'down', 40, Buffer.from('late')))
  })

  test('is nowhere queued while the network does not tell its counter', async () => {
    await using scene = await withDevice()
    scene.path.isAway = true
    expect(await codeOf(() => scene.sink.command(command(1)))).toBe('downlink_unavailable')
    expect(scene.path.sent).toEqual([])
    scene.path.isAway = false
    await scene.sink.command(command(1))
    expect(scene.path.sent.map(({ fCnt }) => fCnt)).toEqual([0])
  })

  test('is refused where it cannot be sent, and the code says why', async () => {
    await using scene = await withDevice()
    expect(await codeOf(() => scene.sink.command(command(1)))).toBeUndefined()
    expect(await codeOf(() => scene.sink.command(command(7)))).toBe('device_unknown')
    expect(await codeOf(() => scene.sink.command({ ...command(1), fPort: 0 }))).toBe('downlink_refused')
    scene.path.outcomes.push('downlink_refused')
    expect(await codeOf(() => scene.sink.command(command(1)))).toBe('downlink_refused')
    await scene.source.send(join(8, 1))
    await expect.poll(() => scene.queue.events).toBe(0)
    expect(await codeOf(() => scene.sink.command(command(8)))).toBe('downlink_refused')
    await scene.bridge.stop()
    expect(await codeOf(() => scene.bridge.downlink(command(1)))).toBe('downlink_unavailable')
  })
})
