import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

/** What is published, packed and installed elsewhere as an owner would, and used without TypeScript. */
const ROOT = fileURLToPath(new URL('..', import.meta.url))
const PACKAGES = ['lorawan', 'backend-interfaces', 'application-server']
const BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const TIMEOUT_MS = 180_000

/** The envelope, KEK and frame of docs/application-server.md; the payload is `open`. */
const READ = `
  const bytes = (hex) => Uint8Array.from(hex.match(/../g), (digits) => parseInt(digits, 16))
  const text = (payload) => new TextDecoder().decode(payload)
  const kekRing = new KekRing()
  kekRing.add('readings-1', bytes('000102030405060708090a0b0c0d0e0f'))
  kekRing.add('other-1', bytes('100102030405060708090a0b0c0d0e0f'))
  const aesKey = bytes('1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5')
  const codeOf = (work) => { try { work(); return 'none' } catch (error) { return error.code } }
  const session = new Session({
    devAddr: parseDevAddr('26012e43'),
    appSKey: kekRing.unwrapAppSKey({ kekLabel: 'readings-1', aesKey }),
  })
  const uplink = { fPort: 2, fCnt: 7, frmPayload: bytes('c5458c30') }
  const results = [
    text(session.decryptUplink(uplink).payload),
    codeOf(() => session.decryptUplink(uplink)),
    codeOf(() => kekRing.unwrapAppSKey({ kekLabel: 'other-1', aesKey })),
    codeOf(() => kekRing.unwrapAppSKey({ aesKey })),
    Array.from(session.encryptDownlink({ fPort: 2, payload: new TextEncoder().encode('lock') }).frmPayload).join(),
    String(kekRing.unwrapAppSKey({ kekLabel: 'readings-1', aesKey })),
  ]`
const EXPECTED = ['open', 'f_cnt_replayed', 'key_wrap_integrity', 'key_in_clear', '2,141,225,236', '[secret]']

let elsewhere: string

beforeAll(() => {
  elsewhere = mkdtempSync(join(tmpdir(), 'mortise-published-'))
  execFileSync(process.execPath, [join(ROOT, 'scripts/build.ts')], { stdio: 'pipe' })
  const npm = (args: readonly string[]) =>
    execFileSync('npm', args, { cwd: elsewhere, encoding: 'utf8', stdio: 'pipe' })
  writeFileSync(join(elsewhere, 'package.json'), '{"private": true, "type": "module"}')
  const packed = PACKAGES.map((name) => npm(['pack', '--silent', join(ROOT, 'dist', name)]).trim())
  npm(['install', '--silent', '--prefer-offline', '--no-audit', '--no-fund', ...packed.map((file) => `./${file}`)])
}, TIMEOUT_MS)
afterAll(() => {
  rmSync(elsewhere, { recursive: true })
})

describe('the published packages', () => {
  test('hold no source that Node would have to strip, and bring no native code', () => {
    const listed = execFileSync(
      'find',
      ['node_modules', '-name', '*.node', '-o', '-path', '*@mortise*', '-name', '*.ts'],
      {
        cwd: elsewhere,
        encoding: 'utf8',
      },
    )
    const files = listed.trim().split('\n')
    expect(files.length).toBeGreaterThan(50)
    expect(files.filter((file) => !file.endsWith('.d.ts'))).toEqual([])
  })

  test('open an uplink in Node, keep its session and run a codec', () => {
    const program = `
      import { DeviceSessions, KekRing, PayloadCodecs, Session, SqliteSessionStore } from '@mortise/application-server'
      import { parseDevAddr, parseDevEui } from '@mortise/lorawan'
      ${READ}
      await using store = new SqliteSessionStore('sessions.db')
      const sessions = new DeviceSessions({ store, kekRing })
      const devEui = parseDevEui('70b3d57ed0061a01')
      const event = { devEui, devAddr: parseDevAddr('26012e43'), appSKey: { kekLabel: 'readings-1', aesKey }, timeMs: 1 }
      const { kind, reading } = await sessions.uplink({ ...event, ...uplink })
      await using codecs = new PayloadCodecs()
      const source = 'function decodeUplink({ bytes }) { return { data: { size: bytes.length } } }'
      const { data } = await codecs.decodeUplink({ name: 'size', source }, { bytes: reading.payload, fPort: 2 })
      console.log(JSON.stringify({ results, kind, data }))`
    writeFileSync(join(elsewhere, 'program.js'), program)
    const output = execFileSync(process.execPath, ['program.js'], { cwd: elsewhere, encoding: 'utf8' })
    expect(JSON.parse(output)).toEqual({ results: EXPECTED, kind: 'reading', data: { size: 4 } })
  })

  test('open an uplink in a browser, with the same results', { timeout: TIMEOUT_MS }, async () => {
    const executablePath = BROWSERS.find((path) => existsSync(path))
    if (executablePath === undefined) throw new Error('a browser is missing: apt-get install chromium')
    const server = await servePage()
    const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
    try {
      const page = await browser.newPage()
      const problems: string[] = []
      page.on('pageerror', (error) => problems.push(String(error)))
      await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
      await page.waitForFunction('globalThis.results !== undefined', undefined, { timeout: 20_000 }).catch(() => {
        throw new Error(`the page has no results: ${problems.join('; ')}`)
      })
      expect(await page.evaluate('globalThis.results')).toEqual(EXPECTED)
    } finally {
      await browser.close()
      server.close()
    }
  })
})

/** The installed files as they are: what a bundler would resolve stands in the import map. */
async function servePage(): Promise<Server> {
  const imports = {
    '@mortise/application-server/portable': '/@mortise/application-server/portable.js',
    '@mortise/lorawan': '/@mortise/lorawan/index.js',
    '@noble/ciphers/': '/@noble/ciphers/',
    '#aes': '/@mortise/application-server/aes/web.js',
  }
  const page = `<!doctype html><script type="importmap">${JSON.stringify({ imports })}</script><script type="module">
    import { KekRing, Session } from '@mortise/application-server/portable'
    import { parseDevAddr } from '@mortise/lorawan'
    ${READ}
    globalThis.results = results
  </script>`
  const server = createServer((request, response) => {
    if (request.url === '/') return response.setHeader('content-type', 'text/html').end(page)
    const file = join(elsewhere, 'node_modules', request.url ?? '')
    if (!file.endsWith('.js') || !existsSync(file)) return response.writeHead(404).end()
    return response.setHeader('content-type', 'text/javascript').end(readFileSync(file))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}
