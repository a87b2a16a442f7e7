import { spawnSync } from 'node:child_process'
import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bytesToHex, hexToBytes, parseDevEui, parseJoinEui } from '@mortise/lorawan'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CommandProcess, Device, NETWORK_SERVER_MAIN, SecureElementProcess } from '../src/index.ts'
import { codeOf } from './errors.ts'
import { NS_KEK, type OracleNetwork, startOracleNetwork, writeNetworkServerConfig } from './network.ts'
import { keysFoundIn } from './search.ts'

let network: OracleNetwork

beforeAll(async () => {
  network = await startOracleNetwork()
  network.answerWith('wrapped')
})

afterAll(() => network[Symbol.asyncDispose]())

async function startNetworkServer(netId: string): Promise<CommandProcess> {
  const config = await writeNetworkServerConfig(network, `ns-${netId}`, netId)
  return new CommandProcess({ program: NETWORK_SERVER_MAIN, args: ['--config', config] })
}

describe('the network server as a process', () => {
  test('takes a device of a secure-element process through join, uplink and downlink, in two networks', async () => {
    await using secureElement = new SecureElementProcess()
    for (const [index, netId] of ['000013', '000024'].entries()) {
      await using ns = await startNetworkServer(netId)
      const devEui = parseDevEui(`0004a30b001c053${index}`)
      const identity = { devEui, joinEui: parseJoinEui('70b3d57ed0000abc'), macVersion: '1.1.0' } as const
      await secureElement.createDevice(identity)
      network.addDevice(identity, await secureElement.takeRootKeysForProvisioning(devEui))
      const device = new Device(secureElement, identity)

      const joinRequest = bytesToHex(await device.joinRequest())
      const activation = await ns.request('activate', { phyPayload: joinRequest, macVersion: '1.1.0', rxDelay: 3 })
      expect(await device.handleJoinAccept(activation.bytes('phyPayload'))).toMatchObject({ netId, rxDelay: 3 })
      expect(activation.object('appSKey').text('kekLabel')).toBe('as-1')

      const frame = await device.uplink({ fPort: 2, payload: Buffer.from('the front door'), confirmed: true, txDr: 3 })
      const uplink = await ns.request('uplink', { phyPayload: bytesToHex(frame), txDr: 3 })
      expect(uplink.number('fCnt')).toBe(0)
      expect(uplink.flag('confirmed')).toBe(true)
      expect(uplink.text('sessionKeyId')).toBe(activation.text('sessionKeyId'))
      const downlink = await ns.request('downlink', {
        devEui,
        fPort: 9,
        fCnt: uplink.number('nextFCntDown'),
        frmPayload: '00',
      })
      expect((await device.handleDownlink(downlink.bytes('phyPayload'))).acknowledgedFCntUp).toBe(0)

      const seen = await ns.request('seen')
      expect(seen.number('dropped')).toBe(0)
      const text = seen
        .objects('entries')
        .map((entry) => entry.text('text'))
        .join('\n')
      const { appSKey, sNwkSIntKey } = network.sessions.at(-1) ?? {}
      expect(keysFoundIn(text, { appSKey: appSKey ?? Buffer.of(), sNwkSIntKey: sNwkSIntKey ?? Buffer.of() })).toEqual([
        'sNwkSIntKey',
      ])
    }
  })

  test('names what it refuses, and goes on', async () => {
    await using ns = await startNetworkServer('000013')
    const joinRequest = bytesToHex(hexToBytes('00bc0a00d07ed5b37000051c000ba304000000aabbccdd'))
    const codes: unknown[] = []
    for (const [command, members] of [
      ['activate', { phyPayload: joinRequest, macVersion: '1.0.3' }],
      ['activate', { phyPayload: joinRequest, macVersion: '9' }],
      ['activate', { phyPayload: 'zz', macVersion: '1.0.3' }],
      ['activate', { macVersion: '1.0.3' }],
      ['uplink', { phyPayload: '40432e01260000000102030405' }],
      ['downlink', { devEui: '0004a30b001c0599' }],
      ['toString', {}],
    ] as const) {
      codes.push(await codeOf(() => ns.request(command, members)))
    }
    expect(codes).toEqual([
      'join_refused',
      'mac_version_unknown',
      'member_malformed',
      'member_malformed',
      'dev_addr_unknown',
      'device_unknown',
      'command_unknown',
    ])
    expect(await codeOf(() => ns.request('seen'))).toBeUndefined()
  })

  test('does not start with a key file that others may read', async () => {
    const config = await writeNetworkServerConfig(network, 'ns-open', '000013')
    const kek = join(network.dir, 'ns.kek')
    const start = () =>
      spawnSync(process.execPath, [fileURLToPath(NETWORK_SERVER_MAIN), '--config', config], {
        encoding: 'utf8',
        input: '',
      })
    await chmod(kek, 0o644)
    const refused = start()
    expect(refused.status).not.toBe(0)
    expect(refused.stderr).toContain(`chmod 600 ${kek}`)
    expect(keysFoundIn(refused.stderr, { NS_KEK })).toEqual([])
    await chmod(kek, 0o600)
    expect(start()).toMatchObject({ status: 0, stdout: '', stderr: '' })
  })
})
