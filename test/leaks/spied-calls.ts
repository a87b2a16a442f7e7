import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { readCapabilityPage } from '../../packages/hsm/test/pkcs11/capability-page.ts'
import { connectPeer, NET_ID } from '../support/parties.ts'
import { readSpyLog, type SpiedCall } from '../support/pkcs11-spy.ts'
import type { SecretScene } from '../support/secret-scene.ts'
import { SecretSearch } from '../support/secret-search.ts'

const page = readCapabilityPage('softhsm2.md')
/** Positions among the devices of the scene. */
const ONE_ZERO = 1
const ONE_ONE = 2

/** The scene goes through OpenSC's spy to the token: what crosses PKCS#11, and how many calls a message takes. */
export function spiedCallsTests(scene: () => SecretScene): void {
  describe('under pkcs11-spy, during init, orders, joins and AppSKeyReq,', () => {
    test('no key crosses PKCS#11 but those that must, and these the search finds', () => {
      // The PIN opens the token. The recovery key is made outside, by the ceremony, for the recovery file.
      const must = ['C_CreateObject: recovery key (raw)', 'C_Login: passphrase or PIN (raw)']
      expect(crossings(scene().secrets)).toEqual(must)
      // Where a network has no KEK, its session keys are read: the twin that shows that values would be seen.
      const { clear } = scene()
      expect(crossings(clear)).toEqual(Array.from(clear.keys(), (name) => `C_GetAttributeValue: ${name} (raw)`))
    })

    test('wrapped keys do cross, in the call that wraps', () => {
      const wrapped = Array.from(scene().wire.wrapped.matchAll(/"AESKey":"([0-9a-f]{48})"/g), ([, hex]) => hex ?? '')
      expect(wrapped.length).toBeGreaterThanOrEqual(8)
      const envelopes = new Map(wrapped.map((hex) => [hex, Buffer.from(hex, 'hex')]))
      expect(crossings(envelopes)).toEqual(wrapped.map((hex) => `C_WrapKey: ${hex} (raw)`).sort())
    })

    /** `C_Login: PIN (raw)`: which secret crossed by which call. */
    function crossings(secrets: ReadonlyMap<string, Buffer>): string[] {
      const search = new SecretSearch(secrets)
      const found = readSpyLog(scene().installation).flatMap(({ name, data }) =>
        data.flatMap((bytes) => search.find(bytes).map((secret) => `${name}: ${secret}`)),
      )
      return [...new Set(found)].sort()
    }
  })

  describe('the calls of a message', () => {
    test.each<[string, () => Promise<unknown>]>([
      ['join 1.0.x', () => activate('wrapped', ONE_ZERO)],
      ['join 1.0.x, the same request again', () => askAgain()],
      ['join 1.0.x, network without a KEK', () => activate('plain', ONE_ZERO)],
      ['join 1.1', () => activate('wrapped', ONE_ONE)],
      ['join 1.1, network without a KEK', () => activate('plain', ONE_ONE)],
      ['join of a 1.1 device in 1.0 (OptNeg 0)', () => activate('wrapped', ONE_ONE, { optNeg: false })],
      [
        'join with a wrong MIC',
        () => expect(activate('wrapped', ONE_ZERO, { spoil: true })).rejects.toThrow('MICFailed'),
      ],
      ['AppSKeyReq', () => fetchAppSKey()],
    ])('%s: are those of the capability page', async (message, act) => {
      const expected = page.callsOfMessages.get(message)
      const calls = await callsDuring(act)
      expect(counted(calls)).toEqual(expected)
      const inOrder = page.calls.get(message.replace(/^join /, ''))
      if (inOrder !== undefined) expect(calls).toEqual(inOrder)
    })

    test('no other message is on the page', () => {
      expect(page.callsOfMessages.size).toBe(8)
    })

    async function activate(kind: 'wrapped' | 'plain', index: number, { optNeg = true, spoil = false } = {}) {
      const { device, macVersion } = scene().devices[index] ?? { device: undefined, macVersion: '1.0.4' as const }
      if (device === undefined) throw new Error('no such device')
      const request = Buffer.from(await device.joinRequest())
      if (spoil) request.writeUInt8(request.readUInt8(22) ^ 1, 22)
      const activation = await scene().networks[kind].activate(request, { macVersion, optNeg })
      await device.handleJoinAccept(activation.phyPayload)
      return { device, activation }
    }

    let lastSession: Awaited<ReturnType<typeof activate>>
    beforeAll(async () => {
      lastSession = await activate('wrapped', ONE_ZERO)
    })

    async function fetchAppSKey(): Promise<void> {
      await scene().fetchAppSKey(lastSession.device, lastSession.activation.sessionKeyId ?? Buffer.alloc(0))
    }

    /** The network server repeats its last request, byte for byte, and gets the same answer. */
    async function askAgain(): Promise<void> {
      const [request = '', answer = ''] = scene().wire.wrapped.trimEnd().split('\n').slice(-2)
      await using client = connectPeer(scene().server, join(scene().installation.root, `peer-ns-${NET_ID}`))
      expect(Buffer.from((await client.post(request)).body).toString()).toBe(answer)
    }

    async function callsDuring(act: () => Promise<unknown>): Promise<string[]> {
      const before = readSpyLog(scene().installation).length
      await act()
      return withoutReceiptHeads(readSpyLog(scene().installation).slice(before)).map(({ name }) => name)
    }
  })
}

/** The head of a worker's receipts is signed by the clock, not for a message. */
function withoutReceiptHeads(calls: readonly SpiedCall[]): SpiedCall[] {
  return calls.filter(({ mechanism }, i) => mechanism !== 'CKM_EDDSA' && calls[i - 1]?.mechanism !== 'CKM_EDDSA')
}

function counted(calls: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const name of calls) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}
