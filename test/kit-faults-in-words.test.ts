import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseDevEui, parseJoinEui, parseNetId } from '@mortise/lorawan'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Impostor, issuedByOwnCa, joinAnswer } from './kit/planted.ts'
import { kitTest, runKitTest, wrongChecks } from './kit/run-kit-test.ts'
import { fault, KitScene, onlyFault, SCENE_TIMEOUT_MS, testKitHere, THIRD_NET_ID, TOML, YAML } from './kit/scene.ts'
import { Clock } from './support/clock.ts'
import { enrolDevice, JOIN_EUI } from './support/parties.ts'

/** One fault each, in what network server and join server say to one another; as in kit-faults.test.ts. */

const NEITHER_SIDE_HAS = '5a'.repeat(16)

let scene: KitScene
beforeAll(async () => {
  scene = await KitScene.create()
}, SCENE_TIMEOUT_MS)
afterAll(async () => {
  await scene[Symbol.asyncDispose]()
})

describe('who asks', () => {
  test('under a NetID for which the certificate was not issued', async () => {
    expect(await onlyFault(scene.chirpstack, { netId: parseNetId('000000') })).toEqual(
      fault('sender-id', /not that of the network 000000/),
    )
    const copy = scene.copyOf(scene.stack).edit('ttn-lw-stack.yml', "'600002'", "'000013'")
    expect(await onlyFault(copy.directory)).toEqual(fault('sender-id', /not that of the network 000013/))
  })

  test('under the NetID of a stock chirpstack.toml', async () => {
    const copy = scene.copyOf(scene.chirpstack)
    const own = (netId: string): void => {
      writeFileSync(copy.path('chirpstack.toml'), `[network]\n  # NetID\n  net_id="${netId}"\n`)
    }
    own('000000')
    expect(await onlyFault(copy.directory)).toEqual(fault('sender-id', /not that of the network 000000/))
    own('000013')
    expect(wrongChecks(await testKitHere(copy.directory))).toEqual([])
  })

  test('under a NetID that YAML takes for a number, or under none', async () => {
    const number = scene.copyOf(scene.stack).edit('ttn-lw-stack.yml', "'600002'", '600002')
    expect(await onlyFault(number.directory)).toEqual(fault('configuration', /without quotation marks/))
    const none = scene.copyOf(scene.stack).edit('ttn-lw-stack.yml', /net-id: .*\n/, '')
    expect(await onlyFault(none.directory)).toEqual(fault('configuration', /there is no net-id/))
  })

  test('by a file that ChirpStack cannot read', async () => {
    const copy = scene.copyOf(scene.chirpstack)
    writeFileSync(copy.path(TOML), `${readFileSync(copy.path(TOML), 'utf8')}\njunk\n`)
    expect(await onlyFault(copy.directory)).toEqual(fault('configuration', /line \d+: this is neither/))
  })

  test('in version 1.1 without NSID', async () => {
    const copy = scene.copyOf(scene.stack).edit(YAML, /sender-ns-id: .*\n/, '')
    expect(await onlyFault(copy.directory)).toEqual(fault('configuration', /missing_ns_id/))
  })

  test('in version 1.0 with an NSID, which The Things Stack forbids', async () => {
    const copy = scene.copyOf(scene.stack).edit(YAML, 'BI1.1', 'BI1.0')
    expect(await onlyFault(copy.directory)).toEqual(fault('configuration', /ns_id_not_supported/))
  })

  test('in a version that the join server does not serve to this network', async () => {
    await scene.installation.mortise('peer', 'set', 'ns', '--net-id', THIRD_NET_ID, '--dialect', 'standard-1.1')
    const copy = scene.copyOf(scene.wrapped).edit(TOML, 'PUT-THE-KEK-HERE', NEITHER_SIDE_HAS)
    expect(await onlyFault(copy.directory)).toEqual(fault('protocol', /does not serve Backend Interfaces 1\.0/))
    await scene.installation.mortise('peer', 'set', 'ns', '--net-id', THIRD_NET_ID, '--dialect', 'chirpstack-4')
    expect(wrongChecks(await testKitHere(copy.directory))).toEqual([])
  })

  test('with a key that ChirpStack passes over, as its own template has it', async () => {
    const copy = scene
      .copyOf(scene.chirpstack)
      .edit(TOML, 'async_timeout="0s"', 'async_interface=false\n  async_timeout="0s"')
    expect(await onlyFault(copy.directory)).toEqual(fault('configuration', /does not read async_interface/))
  })

  test('with a key that keeps The Things Stack from starting', async () => {
    const copy = scene.copyOf(scene.stack).edit(YAML, 'fqdn:', 'timeout: 5s\nfqdn:')
    expect(await onlyFault(copy.directory)).toEqual(fault('configuration', /knows no timeout/))
  })
})

describe('the KEK', () => {
  const filled = (kek: string) => scene.copyOf(scene.wrapped).edit(TOML, 'PUT-THE-KEK-HERE', kek)

  test('is accepted when it has label and size, and is never shown', async () => {
    const { code, stdout, stderr } = await runKitTest(filled(NEITHER_SIDE_HAS).directory, [])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^kek +ok +"third-1", 128 bits/m)
    expect(stdout + stderr).not.toContain(NEITHER_SIDE_HAS)
    expect(readFileSync(filled(NEITHER_SIDE_HAS).path(TOML), 'utf8')).toContain(NEITHER_SIDE_HAS)
  })

  test('has not been filled in', async () => {
    expect(await onlyFault(scene.wrapped)).toEqual(fault('kek', /still has the placeholder/))
  })

  test('stands under a label that the join server does not use', async () => {
    const copy = filled(NEITHER_SIDE_HAS).edit(TOML, 'label="third-1"', 'label="Third-1"')
    expect(await onlyFault(copy.directory)).toEqual(fault('kek', /no KEK with the label "third-1".*"Third-1"/))
  })

  test('is of a size under which ChirpStack cannot unwrap', async () => {
    const { directory } = filled(NEITHER_SIDE_HAS.repeat(2))
    expect(await onlyFault(directory)).toEqual(fault('kek', /has 256 bits.*128 bits only/))
  })

  test('is not hexadecimal', async () => {
    expect(await onlyFault(filled('secret').directory)).toEqual(fault('kek', /is not hexadecimal/))
  })
})

describe('devices', () => {
  const device = () => ({ device: scene.known.device.identity.devEui })

  test('a JoinEUI that does not go to this join server', async () => {
    const found = await onlyFault(scene.chirpstack, { joinEui: parseJoinEui('0016c00000000001') })
    expect(found).toEqual(fault('join-eui', /0016c00000000001 does not go to this join server/))
  })

  test('a prefix that is none', async () => {
    const found = wrongChecks(await testKitHere(scene.copyOf(scene.chirpstack).edit(TOML, '/64"', '/65"').directory))
    expect(found).toMatchObject([fault('configuration', /is no prefix/), fault('join-eui', /no JoinEUI/)])
  })

  test('a JoinEUI that the join server does not serve', async () => {
    const pair = await issuedByOwnCa(scene.installation, ['localhost'])
    let asked = 0
    await using impostor = await Impostor.tls(pair, (_request, response) => {
      asked += 1
      response.end(joinAnswer(asked === 1 ? 'FrameSizeError' : 'UnkownReceiver'))
    })
    const found = await onlyFault(scene.leadingTo(impostor).directory)
    expect(found).toEqual(fault('join-server', /does not serve the JoinEUI 70b3d57ed0000b02/))
  })

  test('a device that the join server does not know', async () => {
    const found = await onlyFault(scene.chirpstack, { device: parseDevEui('70b3d57ed0061aff') })
    expect(found).toEqual(fault('device', /knows no 70b3d57ed0061aff under 70b3d57ed0000b02/))
  })

  test('a device that may not join through this network', async () => {
    const copy = scene.copyOf(scene.wrapped).edit(TOML, 'PUT-THE-KEK-HERE', NEITHER_SIDE_HAS)
    const found = await onlyFault(copy.directory, device())
    expect(found).toEqual(fault('device', /has not allowed .* through this network \(NoRoamingAgreement/))
  })

  test('a device whose owner has allowed no network', async () => {
    const idle = await enrolDevice(scene.installation, '1.0.4', { as: '', networks: [] })
    const found = await onlyFault(scene.chirpstack, { device: idle.device.identity.devEui })
    expect(found).toEqual(fault('device', /ActivationDisallowed/))
  })
})

describe('what answers', () => {
  const page = '<!DOCTYPE html><html><body>502 Bad Gateway</body></html>'

  test('a path that the join server does not have', async () => {
    const copy = scene.copyOf(scene.chirpstack).edit(TOML, scene.url, `${scene.url}api/v1/join`)
    expect(await onlyFault(copy.directory)).toEqual(fault('http', /no path \/api\/v1\/join \(HTTP 404\)/))
  })

  test.each([
    [
      'a proxy with a page of its own',
      502,
      { 'content-type': 'text/html' },
      page,
      'http',
      /an HTML page came back \(HTTP 502\)/,
    ],
    ['a web server that is content', 200, { 'content-type': 'text/html' }, page, 'http', /an HTML page came back/],
    ['a redirect', 307, { location: 'https://localhost/' }, '', 'http', /a redirect \(HTTP 307\)/],
    ['a server in need', 500, {}, '{}', 'http', /HTTP 500/],
    ['text that is no JSON', 200, {}, 'hello', 'join-server', /no answer to a JoinReq/],
    ['JSON that is no answer', 200, {}, '{"status":"ok"}', 'join-server', /no answer to a JoinReq/],
    ['a join server that is busy', 200, {}, joinAnswer('Other'), 'join-server', /refuses with Other/],
    ['a join server that posts its answers', 200, {}, '', 'answers', /waits for them in the response/],
  ])('%s', async (_what, status, headers, body, name, detail) => {
    const pair = await issuedByOwnCa(scene.installation, ['localhost'])
    await using impostor = await Impostor.tls(pair, (_request, response) =>
      response.writeHead(status, headers).end(body),
    )
    expect(await onlyFault(scene.leadingTo(impostor).directory)).toEqual(fault(name, detail))
  })

  test('a clock that is far from this one', async () => {
    const clock = new Clock(join(scene.installation.root, 'clock-fast'), 1)
    const report = await kitTest(scene.chirpstack, [], clock.environment)
    expect(report).toMatchObject({ ok: false, code: 1 })
    expect(wrongChecks(report)).toMatchObject([fault('clock', /86\d{3} s ahead of that of the server/)])
  })

  test('answers that are posted, where they are waited for in the response', async () => {
    await scene.addPeer('600005', '--dialect', 'chirpstack-4', '--async-url', 'https://ns.example:8002')
    const kit = await scene.write('chirpstack', '600005', '--join-eui', `${JOIN_EUI}/64`)
    expect(wrongChecks(await testKitHere(kit))).toEqual([])
    const copy = scene.copyOf(kit).edit(TOML, 'async_timeout="4s"', 'async_timeout="0s"')
    expect(await onlyFault(copy.directory)).toEqual(fault('answers', /posts them to https:\/\/ns\.example:8002/))
  })

  test('answers in the response, where they are waited for elsewhere', async () => {
    const copy = scene.copyOf(scene.chirpstack).edit(TOML, 'async_timeout="0s"', 'async_timeout="4s"')
    expect(await onlyFault(copy.directory)).toEqual(fault('answers', /come in the response/))
  })
})
