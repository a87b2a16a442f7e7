import { describe, expect, test } from 'vitest'
import { unwrapKeyEnvelope } from '@mortise/backend-interfaces'
import { cryptFrmPayload, decodeDataFrame, type DevAddr, hexToBytes, type MacVersion } from '@mortise/lorawan'
import { createBlockCipher } from '@mortise/lorawan/node-aes'
import { BACKENDS, Installation } from './support/installation.ts'
import { addPeer, AS_ID, enrolDevice, joinDevice, NET_ID, networkServer, setKek } from './support/parties.ts'

const READING = Buffer.from('door 17 was opened at noon')

/** Every run of 16 bytes in what a network server got: raw, and in all that reads as hex or base64. */
function* windows(recorded: readonly string[]): Generator<Uint8Array> {
  for (const text of recorded)
    for (const bytes of [Buffer.from(text), ...decodings(text)])
      for (let start = 0; start + 16 <= bytes.length; start++) yield bytes.subarray(start, start + 16)
}

function decodings(text: string): Buffer[] {
  const hex = Array.from(text.matchAll(/[0-9a-fA-F]{32,}/g), ([run]) => [
    Buffer.from(run, 'hex'),
    Buffer.from(run.slice(1), 'hex'),
  ])
  const base64 = Array.from(text.matchAll(/[A-Za-z0-9+/_-]{22,}/g), ([run]) =>
    [0, 1, 2, 3].map((skip) => Buffer.from(run.slice(skip), 'base64')),
  )
  return [...hex.flat(), ...base64.flat()]
}

function decrypts(key: Uint8Array, devAddr: DevAddr, ciphertext: Uint8Array): boolean {
  return Buffer.from(cryptFrmPayload(createBlockCipher(key), 'up', devAddr, 0, ciphertext)).equals(READING)
}

describe.each(BACKENDS)('all that a network server receives, %s', (backend) => {
  test.each<[MacVersion, string]>([
    ['1.0.3', 'with a KEK of its own'],
    ['1.0.4', 'without a KEK'],
    ['1.1.0', 'with a KEK of its own'],
  ])('holds no key that decrypts a payload of a %s device, %s', async (macVersion, kind) => {
    await using installation = await Installation.create(backend)
    const directory = await addPeer(installation, 'ns', NET_ID)
    await addPeer(installation, 'as', AS_ID)
    const asKek = await setKek(installation, 'as', AS_ID, 'owner-1')
    const keks = new Map<string, Uint8Array>()
    if (kind === 'with a KEK of its own') keks.set('network-1', await setKek(installation, 'ns', NET_ID, 'network-1'))
    const { device } = await enrolDevice(installation, macVersion)
    const server = await installation.serve()
    await using network = networkServer(server, directory, keks)
    const { devAddr, appSKey } = await joinDevice(network, device)
    const uplink = await device.uplink({ fPort: 7, payload: READING })
    expect(network.receiveUplink(uplink).fPort).toBe(7)
    const ciphertext = decodeDataFrame(uplink).frmPayload

    const recorded = network.seen.entries.map((entry) => entry.text)
    expect(network.seen.dropped).toBe(0)
    let tried = 0
    for (const key of windows(recorded)) {
      tried += 1
      if (decrypts(key, devAddr, ciphertext)) throw new Error('a window of what the network saw decrypts the payload')
    }
    expect(tried).toBeGreaterThan(1000)
    // The network's own session keys were among the windows: the search does find keys.
    const own = network.seen.entries
      .filter((entry) => entry.kind === 'network-session-key')
      .map((entry) => hexToBytes(entry.text))
    expect(own.length).toBe(macVersion === '1.1.0' ? 3 : 1)
    for (const key of own) expect([...windows(recorded)].some((window) => Buffer.from(window).equals(key))).toBe(true)
    // And the AppSKey, which only the owner can unwrap, does decrypt it.
    expect(decrypts(unwrapKeyEnvelope(appSKey!, asKek), devAddr, ciphertext)).toBe(true)
  })
})
