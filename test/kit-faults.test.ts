import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createCa, issueClientCertificate } from '@mortise/cli'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Impostor, issuedAtAnotherTime, issuedByOwnCa } from './kit/planted.ts'
import { kitTest, wrongChecks } from './kit/run-kit-test.ts'
import { fault, KitScene, onlyFault, SCENE_TIMEOUT_MS, testKitHere, THIRD_NET_ID, TOML } from './kit/scene.ts'
import { Clock } from './support/clock.ts'
import { JOIN_EUI, NET_ID } from './support/parties.ts'

/**
 * One fault each, on the way to the join server, in certificates and in files: `mortise kit test` has to name it, and
 * nothing else. That a good kit passes is in kit.test.ts; faults in what is said are in kit-faults-in-words.test.ts.
 */

let scene: KitScene
beforeAll(async () => {
  scene = await KitScene.create()
}, SCENE_TIMEOUT_MS)
afterAll(async () => {
  await scene[Symbol.asyncDispose]()
})

describe('the way there', () => {
  test('a name without an address', async () => {
    const copy = scene
      .copyOf(scene.chirpstack)
      .edit(TOML, scene.url, scene.url.replace('localhost', 'js.example.invalid'))
    expect(await onlyFault(copy.directory)).toEqual(fault('dns', /js\.example\.invalid has no address/))
  })

  test('a port on which nobody listens', async () => {
    const free = await Impostor.clear(() => undefined)
    await free[Symbol.asyncDispose]()
    expect(await onlyFault(scene.leadingTo(free).directory)).toEqual(fault('tcp', /cannot be reached \(ECONNREFUSED\)/))
  })

  test('a port without TLS', async () => {
    await using impostor = await Impostor.clear((_request, response) => response.end('hello'))
    expect(await onlyFault(scene.leadingTo(impostor).directory)).toEqual(fault('tls', /does not speak TLS/))
  })

  test('an address without https', async () => {
    const copy = scene.copyOf(scene.chirpstack).edit(TOML, scene.url, scene.url.replace('https', 'http'))
    expect(await onlyFault(copy.directory)).toEqual(fault('configuration', /in clear/))
  })

  test('another address asked for than configured', async () => {
    const asked = { url: scene.url.replace('localhost', '127.0.0.1') }
    expect(await onlyFault(scene.chirpstack, asked)).toEqual(
      fault('configuration', /is configured with https:\/\/localhost/),
    )
  })
})

describe('the server certificate', () => {
  test('by another CA than that of the kit', async () => {
    const copy = scene.copyOf(scene.chirpstack)
    writeFileSync(copy.path('localhost/ca.pem'), (await createCa('somebody else')).certificate)
    expect(await onlyFault(copy.directory)).toEqual(fault('tls-chain', /not by the CA of the kit/))
  })

  test('for another name', async () => {
    const pair = await issuedByOwnCa(scene.installation, ['js.example'])
    await using impostor = await Impostor.tls(pair, () => undefined)
    expect(await onlyFault(scene.leadingTo(impostor).directory)).toEqual(
      fault('tls-name', /not for localhost.*js\.example/),
    )
  })

  test('expired', async () => {
    const clock = new Clock(join(scene.installation.root, 'clock-issuing'), -60)
    const pair = issuedAtAnotherTime(scene.installation, 'expired', clock.environment)
    await using impostor = await Impostor.tls(pair, () => undefined)
    expect(await onlyFault(scene.leadingTo(impostor).directory)).toEqual(fault('tls-validity', /expired on/))
  })

  test('not valid yet', async () => {
    const clock = new Clock(join(scene.installation.root, 'clock-issuing'), 30)
    const pair = issuedAtAnotherTime(scene.installation, 'future', clock.environment)
    await using impostor = await Impostor.tls(pair, () => undefined)
    expect(await onlyFault(scene.leadingTo(impostor).directory)).toEqual(fault('tls-validity', /is valid from .* only/))
  })

  test('of a proxy that refuses the client certificate and says so', async () => {
    const pair = await issuedByOwnCa(scene.installation, ['localhost'])
    const { certificate } = await createCa('the proxy')
    await using impostor = await Impostor.openssl(scene.installation.root, pair, certificate)
    const found = await onlyFault(scene.leadingTo(impostor).directory)
    expect(found).toEqual(fault('http', /refuses the client certificate \(ERR_SSL_.*UNKNOWN_CA\)/))
  })

  test('of a proxy that refuses the client certificate without a word', async () => {
    const pair = await issuedByOwnCa(scene.installation, ['localhost'])
    await using impostor = await Impostor.strictTls(pair, (await createCa('the proxy')).certificate)
    const found = await onlyFault(scene.leadingTo(impostor).directory)
    expect(found).toEqual(fault('http', /cut off after the handshake \(ECONNRESET\)/))
  })
})

describe('the client certificate', () => {
  test('expired, by the clock of this machine', async () => {
    const clock = new Clock(join(scene.installation.root, 'clock-late'), 900)
    const found = wrongChecks(await kitTest(scene.chirpstack, [], clock.environment))
    expect(found).toMatchObject([
      fault('client-certificate', /expired on/),
      // Both were issued on the same day.
      fault('tls-validity', /expired on/),
    ])
  })

  test('not valid yet: the clock of this machine is slow', async () => {
    const clock = new Clock(join(scene.installation.root, 'clock-early'), -2)
    const found = wrongChecks(await kitTest(scene.chirpstack, [], clock.environment))
    expect(found).toMatchObject([fault('client-certificate', /valid from .* only/), fault('tls-validity', /only/)])
    expect(found[0]?.remedy).toContain('NTP')
  })

  test('unknown to the join server, though its CA issued it', async () => {
    const copy = scene.copyOf(scene.chirpstack)
    const issued = await issueClientCertificate(
      {
        certificate: readFileSync(join(scene.installation.data, 'ca.pem'), 'utf8'),
        privateKey: readFileSync(join(scene.installation.data, 'operator', 'ca-key.pem'), 'utf8'),
      },
      NET_ID,
    )
    writeFileSync(copy.path('localhost/cert.pem'), issued.certificate)
    writeFileSync(copy.path('localhost/key.pem'), issued.privateKey)
    expect(await onlyFault(copy.directory)).toEqual(fault('peer', /does not know this certificate/))
  })

  test('of a peer that is disabled', async () => {
    await scene.addPeer('600004', '--dialect', 'chirpstack-4')
    const kit = await scene.write('chirpstack', '600004', '--join-eui', `${JOIN_EUI}/64`)
    expect(wrongChecks(await testKitHere(kit))).toEqual([])
    await scene.installation.mortise('peer', 'disable', '600004', '--yes')
    expect(await onlyFault(kit)).toEqual(fault('peer', /is disabled/))
  })

  test('not for TLS clients', async () => {
    const copy = scene.copyOf(scene.chirpstack)
    const clock = new Clock(join(scene.installation.root, 'clock-issuing'), 0)
    const pair = issuedAtAnotherTime(scene.installation, 'server-only', clock.environment)
    writeFileSync(copy.path('localhost/cert.pem'), pair.certificate)
    writeFileSync(copy.path('localhost/key.pem'), pair.privateKey)
    const found = wrongChecks(await testKitHere(copy.directory))
    expect(found).toMatchObject([fault('client-certificate', /not for TLS clients/), fault('peer', /does not know/)])
  })

  test('with the key of another', async () => {
    const copy = scene.copyOf(scene.chirpstack)
    copyFileSync(join(scene.credentials(THIRD_NET_ID), 'key.pem'), copy.path('localhost/key.pem'))
    expect(await onlyFault(copy.directory)).toEqual(fault('client-key', /does not belong to the certificate/))
  })
})

describe('files', () => {
  test.each([
    ['ca-file', 'ca.pem'],
    ['client-certificate', 'cert.pem'],
    ['client-key', 'key.pem'],
  ])('%s is missing', async (name, file) => {
    const copy = scene.copyOf(scene.chirpstack)
    rmSync(copy.path('localhost', file))
    expect(await onlyFault(copy.directory)).toEqual(fault(name, /does not exist/))
  })

  test('a key that cannot be read', async () => {
    const copy = scene.copyOf(scene.chirpstack)
    rmSync(copy.path('localhost/key.pem'))
    mkdirSync(copy.path('localhost/key.pem'))
    expect(await onlyFault(copy.directory)).toEqual(fault('client-key', /cannot be read \(EISDIR\)/))
  })

  test('a certificate that is none', async () => {
    const copy = scene.copyOf(scene.stack)
    writeFileSync(copy.path('interop/localhost/cert.pem'), 'not a certificate')
    expect(await onlyFault(copy.directory)).toEqual(fault('client-certificate', /is not what it should be/))
  })

  test('a kit without its description', async () => {
    const copy = scene.copyOf(scene.chirpstack)
    rmSync(copy.path('kit.json'))
    expect(await onlyFault(copy.directory)).toEqual(fault('kit', /kit\.json does not exist/))
  })

  test('a configuration that is not YAML', async () => {
    const copy = scene.copyOf(scene.stack)
    writeFileSync(copy.path('interop/config.yml'), 'join-servers: [\n')
    expect(await onlyFault(copy.directory)).toEqual(fault('kit', /is not YAML/))
  })
})
