import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseNsId } from '@mortise/lorawan'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type CertificateAndKey,
  certificateFingerprint,
  createCa,
  issueClientCertificate,
} from '../src/certificates.ts'
import {
  certificateNameOption,
  digestOption,
  fingerprintOption,
  httpsUrlOption,
  joinEuiPrefixOption,
} from '../src/identifiers.ts'
import { CreatedPaths } from '../src/init/created-paths.ts'
import { type CredentialOptions, credentialOf } from '../src/peers/credentials.ts'
import { changedSettings, newSettings, type SettingOptions } from '../src/peers/settings.ts'
import { tokenAsOption, writeToken } from '../src/peers/tokens.ts'

const NS_ID = parseNsId('70b3d57ed0000001')
const URL_OF_NS = 'https://ns.example/answers'

describe('the settings of a peer', () => {
  test.each<[SettingOptions, string]>([
    [{}, 'standard-1.0 1.0'],
    [{ nsId: NS_ID }, 'standard-1.0 1.1'],
    [{ protocol: '1.1' }, 'standard-1.0 1.1'],
    [{ dialect: 'standard-1.1' }, 'standard-1.1 1.1'],
    [{ dialect: 'chirpstack-4' }, 'chirpstack-4 1.0'],
    [{ dialect: 'chirpstack-3' }, 'chirpstack-3 1.0'],
    [{ dialect: 'the-things-stack' }, 'the-things-stack 1.1'],
    [{ dialect: 'the-things-stack', protocol: '1.0' }, 'the-things-stack 1.0'],
    [{ dialect: 'the-things-stack', nsId: NS_ID }, 'the-things-stack 1.1'],
    [{ dialect: 'helium' }, 'helium 1.1'],
  ])('%o: a dialect says its protocol', (options, expected) => {
    const { dialect, protocol } = newSettings(options)
    expect(`${dialect} ${protocol}`).toBe(expected)
  })

  test('stay as they are unless they are named; a new dialect or NSID says the protocol again', () => {
    const current = newSettings({ dialect: 'the-things-stack', protocol: '1.0', kekOnly: true })
    expect(changedSettings(current, {})).toEqual(current)
    expect(changedSettings(current, { kekOnly: false })).toEqual({ ...current, kekOnly: false })
    expect(changedSettings(current, { nsId: NS_ID })).toEqual({ ...current, nsId: NS_ID, protocol: '1.1' })
    expect(changedSettings(current, { dialect: 'helium' })).toMatchObject({ dialect: 'helium', protocol: '1.1' })
    const named = newSettings({ nsId: NS_ID, asyncUrl: URL_OF_NS })
    expect(changedSettings(named, { nsId: false })).toEqual({ ...named, nsId: undefined })
    expect(changedSettings(named, { asyncUrl: false })).toEqual({ ...named, asyncUrl: undefined })
    expect(changedSettings(named, { dialect: 'chirpstack-4', nsId: false })).toMatchObject({ protocol: '1.0' })
  })

  test.each<[string, SettingOptions, string]>([
    ['a protocol that the dialect does not speak', { dialect: 'chirpstack-4', protocol: '1.1' }, 'does not speak'],
    ['a dialect that does not speak the protocol', { dialect: 'standard-1.1', protocol: '1.0' }, 'does not speak'],
    ['an NSID in 1.0', { nsId: NS_ID, protocol: '1.0' }, 'NSID'],
    ['an NSID of a dialect that has none', { nsId: NS_ID, dialect: 'chirpstack-4' }, 'NSID'],
    ['a URL that the dialect does not use', { asyncUrl: URL_OF_NS, dialect: 'the-things-stack' }, 'response alone'],
  ])('are wrong usage with %s', (_name, options, message) => {
    const refusal = expect.objectContaining({
      code: 'usage',
      message: expect.stringContaining(message) as string,
    }) as Error
    expect(() => newSettings(options)).toThrow(refusal)
    const { protocol = '1.0', dialect = 'standard-1.0' } = options
    const asAsked = { nsId: undefined, asyncUrl: undefined, kekOnly: false, ...options, protocol, dialect }
    expect(() =>
      changedSettings({ ...asAsked, nsId: options.nsId || undefined, asyncUrl: options.asyncUrl || undefined }, {}),
    ).toThrow(refusal)
  })
})

describe('what a peer is known by', () => {
  let directory: string
  let ca: CertificateAndKey
  let leaf: CertificateAndKey
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'mortise-peer-options-'))
    ca = await createCa('CA')
    leaf = await issueClientCertificate(ca, 'ns.example')
    const files = {
      ca: ca.certificate,
      leaf: leaf.certificate,
      two: `${ca.certificate}${leaf.certificate}`,
      none: 'text',
    }
    for (const [name, content] of Object.entries(files)) writeFileSync(file(name), content)
  })
  afterAll(() => {
    rmSync(directory, { recursive: true, force: true })
  })

  const file = (name: string) => join(directory, `${name}.pem`)
  const known = async (options: Omit<CredentialOptions, 'data'>) => {
    using created = new CreatedPaths()
    return await credentialOf('000013', { data: directory, ...options }, created)
  }

  test('is a certificate, or a CA and a name', async () => {
    const fingerprint = certificateFingerprint(leaf.certificate)
    const certificate = await known({ certificate: file('leaf') })
    expect(certificate).toMatchObject({ named: { certificate: fingerprint }, facts: { certificate: { fingerprint } } })
    expect(certificate.pems.map(certificateFingerprint)).toEqual([fingerprint])
    const ofCa = certificateFingerprint(ca.certificate)
    const authority = await known({ ca: file('ca'), name: 'ns.example' })
    expect(authority).toMatchObject({
      named: { authority: ofCa, name: 'ns.example' },
      facts: { authority: { fingerprint: ofCa } },
    })
    expect(authority.pems.map(certificateFingerprint)).toEqual([ofCa])
  })

  test.each<[string | undefined, RegExp, string]>([
    [undefined, /^Authorization: Bearer mortise_[\w-]{43}\n$/, 'authorization'],
    ['bearer', /^Authorization: Bearer mortise_[\w-]{43}\n$/, 'authorization'],
    ['basic', /^Authorization: Basic [\w+/]+=*\n$/, 'authorization'],
    ['X-Join-Server', /^X-Join-Server: mortise_[\w-]{43}\n$/, 'x-join-server'],
    ['Authorization', /^Authorization: mortise_[\w-]{43}\n$/, 'authorization'],
  ])('is a token as %s, of which only the digest is told', async (tokenAs, line, header) => {
    const path = file('token')
    using created = new CreatedPaths()
    const options = { data: directory, token: path, ...(tokenAs !== undefined && { tokenAs }) }
    const { named, pems, ...told } = await credentialOf('000013', options, created)
    const written = readFileSync(path, 'utf8')
    expect(written).toMatch(line)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const value = written.slice(written.indexOf(' ') + 1, -1)
    const digest = createHash('sha256').update(value).digest('hex')
    expect({ named, pems }).toEqual({ named: { token: digest, header }, pems: [] })
    expect(JSON.stringify(told)).toContain(digest)
    expect(JSON.stringify(told)).not.toMatch(/mortise_|Basic/)
    if (tokenAs !== 'basic') return
    expect(Buffer.from(value.slice('Basic '.length), 'base64').toString()).toMatch(/^000013:mortise_[\w-]{43}$/)
  })

  test('is a token of its own each time', async () => {
    expect(await known({ token: file('once') })).not.toEqual(await known({ token: file('once') }))
  })

  test.each<[string, string, () => Omit<CredentialOptions, 'data'>]>([
    ['nothing', 'usage', () => ({})],
    ['two ways', 'usage', () => ({ certificate: file('leaf'), issueCertificate: 'out' })],
    ['a certificate and a CA', 'usage', () => ({ certificate: file('leaf'), ca: file('ca'), name: 'ns.example' })],
    ['a request and a certificate', 'usage', () => ({ certificate: file('leaf'), csr: 'ns.csr' })],
    ['a CA alone, which admits nobody', 'usage', () => ({ ca: file('ca') })],
    ['a name alone', 'usage', () => ({ certificate: file('leaf'), name: 'ns.example' })],
    ['a directory without a request', 'usage', () => ({ certificate: file('leaf'), out: 'out' })],
    ['a token and a certificate', 'usage', () => ({ token: file('t'), certificate: file('leaf') })],
    ['a token and a CA', 'usage', () => ({ token: file('t'), ca: file('ca'), name: 'ns.example' })],
    ['a token and a name', 'usage', () => ({ token: file('t'), name: 'ns.example' })],
    ['a way to show a token, and none', 'usage', () => ({ certificate: file('leaf'), tokenAs: 'basic' })],
    ['a token with a directory', 'usage', () => ({ token: file('t'), out: 'out' })],
    ['a token in a file that is there', 'file_exists', () => ({ token: file('leaf') })],
    ['a token where there is no directory', 'directory_missing', () => ({ token: join(directory, 'a', 'b') })],
    ['a directory with a CA', 'usage', () => ({ ca: file('ca'), name: 'ns.example', out: 'out' })],
    ['a CA that is none', 'certificate_not_authority', () => ({ ca: file('leaf'), name: 'ns.example' })],
    ['a file with two certificates', 'certificate_ambiguous', () => ({ ca: file('two'), name: 'ns.example' })],
    ['a file without', 'certificate_malformed', () => ({ ca: file('none'), name: 'ns.example' })],
    ['a file that is not there', 'file_missing', () => ({ ca: file('absent'), name: 'ns.example' })],
  ])('is not %s', async (_name, code, options) => {
    await expect(known(options())).rejects.toMatchObject({ code })
  })
})

test.each([
  [
    httpsUrlOption,
    'https://ns.example:8443/a?b',
    ['http://ns.example', 'https://a:b@ns.example', 'https://', 'ns.example'],
  ],
  [certificateNameOption, 'Network server 13', ['*.example', '.example', '', 'ns.example ', 'tür']],
  [fingerprintOption, 'ab'.repeat(32), ['ab', 'xy'.repeat(32), 'ab'.repeat(33)]],
  [digestOption, 'AB'.repeat(32), ['ab', 'xy'.repeat(32), 'ab:'.repeat(32)]],
  [tokenAsOption, 'Basic', ['', 'Host', 'content-length', 'X Token', 'X-Token:', 'Mortise-Forwarded', 'a'.repeat(65)]],
  [tokenAsOption, 'X-Token', ['transfer-encoding']],
  [joinEuiPrefixOption, '70b3d57ed/36', ['70b3d57ed', '70b3d57ed0000001/40', '70b3d57ed/65']],
])('options are read strictly (%#)', (read, good, bad) => {
  expect(read(good)).toBeDefined()
  for (const text of bad) expect(() => read(text)).toThrow(/^Expected/)
})

test('HTTP Basic has no user name with a colon, so that AS-ID gets no such token', () => {
  using created = new CreatedPaths()
  const path = join(tmpdir(), `mortise-token-${process.pid}`)
  const usage = expect.objectContaining({ code: 'usage' }) as Error
  expect(() => writeToken('as:door', path, { tokenAs: 'basic' }, created)).toThrow(usage)
  expect(existsSync(path)).toBe(false)
  expect(writeToken('as-door', path, { tokenAs: 'basic' }, created)).toMatchObject({ header: 'authorization' })
})

test('a fingerprint may be written as OpenSSL writes it', () => {
  const hex = '0a'.repeat(32)
  expect(fingerprintOption(Array.from({ length: 32 }, () => '0A').join(':'))).toBe(hex)
})
