import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, renameSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WatchedCertificate } from '../../src/http/certificates-watch.ts'
import { startListener, type TestListener } from '../support/listener.ts'
import { until } from '../support/server.ts'
import { type MadePair, TlsFiles } from '../support/tls-files.ts'

const RETRY_MS = 300
const WATCH = join(import.meta.dirname, 'children', 'watch-certificate.ts')

/** Longer than it takes to see a change, and to find that it is settled. */
const SEEN_MS = 1000

let files: TlsFiles
let before: MadePair
let after: MadePair
let lines: string[]
let watched: WatchedCertificate
let listener: TestListener

beforeEach(async () => {
  files = new TlsFiles()
  before = files.make()
  after = files.make()
  files.write(before)
  await begin(['localhost'])
})
afterEach(async () => {
  await end()
  files[Symbol.dispose]()
})

async function begin(names: readonly string[]): Promise<void> {
  lines = []
  watched = new WatchedCertificate(files, { log: (line) => lines.push(line), names, retryMs: RETRY_MS })
  listener = await startListener()
  listener.exchangeCertificate(watched.tls)
  watched.onChange((tls) => listener.exchangeCertificate(tls))
}

async function end(): Promise<void> {
  watched[Symbol.dispose]()
  await listener[Symbol.asyncDispose]()
}

/** Fingerprint of what a new connection is shown; it is a peer's, and is answered. */
async function shown(): Promise<string> {
  const client = await listener.connect({ ca: `${before.cert}${after.cert}` })
  await client.exchange()
  const certificate = client.socket.getPeerX509Certificate()
  client.socket.destroy()
  return certificate?.fingerprint256.replaceAll(':', '').toLowerCase() ?? ''
}

describe('a changed certificate', () => {
  it('is shown to new connections, while those that are open go on', async () => {
    const open = await listener.connect({ ca: before.cert })
    await open.exchange()
    files.write(after)
    await until(() => watched.tls.cert === after.cert)
    expect(await shown()).toBe(after.fingerprint)
    await open.exchange()
    expect([open.statuses, open.closed]).toEqual([[200, 200], false])
    expect(open.socket.getPeerX509Certificate()?.fingerprint256.replaceAll(':', '').toLowerCase()).toBe(
      before.fingerprint,
    )
    expect(lines).toEqual([expect.stringMatching(/cert\.pem is in use now: CN=made-\d+, until 2099-01-01/)])
  })

  it('does not break an exchange on its way', async () => {
    let answer: (() => void) | undefined
    await using slow = await startListener({}, async () => {
      await new Promise<void>((resolve) => (answer = resolve))
      return { status: 200, body: '{"answered":"late"}' }
    })
    slow.exchangeCertificate(before)
    const open = await slow.connect({ ca: before.cert })
    open.send()
    await until(() => answer !== undefined)
    slow.exchangeCertificate(after)
    answer?.()
    await until(() => open.statuses.length === 1)
    expect(open.json).toEqual({ answered: 'late' })
  })

  it('is seen behind a link that is turned to other files, as certbot and Kubernetes do', async () => {
    await end()
    for (const [name, pair] of [['one', before] as const, ['two', after] as const]) {
      writeFileSync(join(files.root, `${name}-cert`), pair.cert)
      writeFileSync(join(files.root, `${name}-key`), pair.key, { mode: 0o600 })
    }
    const turn = (name: string): void => {
      for (const [part, path] of [['cert', files.certificate] as const, ['key', files.key] as const]) {
        symlinkSync(`${name}-${part}`, `${path}.link`)
        renameSync(`${path}.link`, path)
      }
    }
    turn('one')
    await begin(['localhost'])
    expect(await shown()).toBe(before.fingerprint)
    turn('two')
    await until(() => watched.tls.cert === after.cert)
    expect(await shown()).toBe(after.fingerprint)
  })

  it('leaves the rest of TLS as it was', async () => {
    files.write(after)
    await until(() => watched.tls.cert === after.cert)
    expect(await cipherOf(listener.port, [])).toBe('ECDHE-ECDSA-AES128-GCM-SHA256')
    // Without authenticated encryption: what Node would take.
    const old = ['-cipher', 'ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0']
    expect(await cipherOf(listener.port, old)).toBe('(NONE)')
    const lax = createServer({ ...after }).listen(0, '127.0.0.1')
    await once(lax, 'listening')
    expect(await cipherOf((lax.address() as AddressInfo).port, old)).toBe('ECDHE-ECDSA-AES128-SHA256')
    lax.close()
  })

  it('that lacks a name which others may ask for is taken with a warning', async () => {
    await end()
    await begin(['js.eu.example', 'localhost'])
    expect(lines).toEqual([expect.stringContaining('does not name js.eu.example:')])
    const named = files.make({ names: 'DNS:localhost,DNS:*.eu.example' })
    files.write(named)
    await until(() => watched.tls.cert === named.cert)
    expect(lines.slice(1)).toEqual([expect.stringContaining('is in use now')])
    const nameless = files.make({ names: '' })
    files.write(nameless)
    await until(() => watched.tls.cert === nameless.cert)
    expect(lines.at(-1)).toContain('has no subjectAltName')
  })
})

/** As OpenSSL's own client sees it. */
async function cipherOf(port: number, options: readonly string[]): Promise<string | undefined> {
  const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-tls1_2', ...options], {
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  child.stdin.end()
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  await once(child, 'close')
  return /Cipher is (\S+)/.exec(output)?.[1]
}

describe('a change that is no good', () => {
  it.each<[string, () => Partial<MadePair>, RegExp]>([
    ['a certificate that is written by half', () => ({ cert: after.cert.slice(0, 400) }), /damaged/],
    ['the certificate before its key', () => ({ cert: after.cert }), /does not match/],
    ['the key before its certificate', () => ({ key: after.key }), /does not match/],
    ['an expired pair', () => files.make({ until: '20200102' }), /expired on 2020-01-02/],
    ['a pair of the future', () => files.make({ from: '20980101' }), /not valid before/],
    ['a pair for clients', () => files.make({ usage: 'clientAuth' }), /lacks serverAuth/],
  ])('%s: refused with one line, and the one before is kept until the right one comes', async (_what, make, reason) => {
    files.write(make())
    await until(() => lines.length > 0)
    expect(await shown()).toBe(before.fingerprint)
    await delay(SEEN_MS)
    expect(lines).toEqual([expect.stringMatching(reason)])
    expect(lines[0]).toContain('the one before is kept')
    files.write(after)
    await until(() => watched.tls.cert === after.cert)
    expect(await shown()).toBe(after.fingerprint)
  })

  it('files that are gone for longer than a moment: one line; and they come back', async () => {
    renameSync(files.key, `${files.key}.away`)
    await until(() => lines.length > 0)
    expect(lines).toEqual([expect.stringContaining('key.pem does not exist')])
    files.write(after)
    await until(() => watched.tls.cert === after.cert)
  })

  it('a pair that is not valid yet: one line, and it is taken once it is', async () => {
    const soon = new Date(Date.now() + 4000).toISOString().replace(/\D/g, '').slice(0, 14)
    const pair = files.make({ from: soon })
    files.write(pair)
    await until(() => lines.length > 0)
    expect(watched.tls.cert).toBe(before.cert)
    await until(() => watched.tls.cert === pair.cert)
    expect(lines).toEqual([expect.stringContaining('is not valid before'), expect.stringContaining('is in use now')])
  })

  it('files that cannot be read for want of descriptors: they are once there are some', async () => {
    const child = spawn(process.execPath, [WATCH, files.certificate, files.key], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    const limit = (descriptors: number): void => {
      execFileSync('prlimit', ['--pid', String(child.pid), `--nofile=${descriptors}:`])
    }
    try {
      await until(() => output.includes('watching'))
      limit(3)
      files.write(after)
      await until(() => output.includes('cannot be read'))
      limit(1024)
      await until(() => output.includes('is in use now'))
      expect(output.match(/is refused/g)).toHaveLength(1)
    } finally {
      child.kill()
    }
  })

  it('one that is written in many small steps is not looked at before it is whole', async () => {
    files.write({ key: after.key })
    for (let end = 20; end < after.cert.length; end += 40) {
      writeFileSync(files.certificate, after.cert.slice(0, end))
      await delay(20)
    }
    files.write({ cert: after.cert })
    await until(() => watched.tls.cert === after.cert)
    expect(lines).toEqual([expect.stringContaining('is in use now')])
  })

  it('the same again is no news', async () => {
    files.write({ cert: readFileSync(files.certificate, 'utf8') })
    utimesSync(files.key, new Date(), new Date())
    await delay(SEEN_MS)
    expect(lines).toEqual([])
    expect(await shown()).toBe(before.fingerprint)
  })
})
