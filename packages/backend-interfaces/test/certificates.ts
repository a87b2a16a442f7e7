import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface KeyPair {
  readonly key: Buffer
  readonly cert: Buffer
}

export interface Certificates {
  readonly ca: Buffer
  readonly server: KeyPair
  /** Its key is on a curve that has no NIST name. */
  readonly brainpoolServer: KeyPair
  readonly client: KeyPair
  /** An authority that signed none of the others, and a client certificate of its own. */
  readonly otherCa: Buffer
  readonly otherClient: KeyPair
}

/** Makes a small PKI with the openssl command in a temporary directory, which is gone when this returns. */
export async function makeCertificates(): Promise<Certificates> {
  const dir = await mkdtemp(join(tmpdir(), 'mortise-certificates-'))
  try {
    const ca = await makeAuthority(dir, 'ca')
    const otherCa = await makeAuthority(dir, 'other-ca')
    return {
      ca: ca.cert,
      server: await issue(dir, 'ca', 'server', 'subjectAltName=DNS:localhost,IP:127.0.0.1'),
      brainpoolServer: await issue(
        dir,
        'ca',
        'brainpool',
        'subjectAltName=DNS:localhost,IP:127.0.0.1',
        'brainpoolP256r1',
      ),
      client: await issue(dir, 'ca', 'client', 'extendedKeyUsage=clientAuth'),
      otherCa: otherCa.cert,
      otherClient: await issue(dir, 'other-ca', 'other-client', 'extendedKeyUsage=clientAuth'),
    }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

function newKey(curve: string): string[] {
  return ['-newkey', 'ec', '-pkeyopt', `ec_paramgen_curve:${curve}`, '-nodes']
}

async function makeAuthority(dir: string, name: string): Promise<KeyPair> {
  const files = ['-keyout', `${name}.key`, '-out', `${name}.crt`]
  await run('openssl', ['req', '-x509', ...newKey('P-256'), ...files, '-days', '2', '-subj', `/CN=${name}`], {
    cwd: dir,
  })
  return readKeyPair(dir, name)
}

async function issue(dir: string, ca: string, name: string, extension: string, curve = 'P-256'): Promise<KeyPair> {
  const files = ['-keyout', `${name}.key`, '-out', `${name}.csr`]
  await run('openssl', ['req', ...newKey(curve), ...files, '-subj', `/CN=${name}`], { cwd: dir })
  await writeFile(join(dir, `${name}.ext`), extension)
  const signer = ['-CA', `${ca}.crt`, '-CAkey', `${ca}.key`, '-CAcreateserial', '-days', '2']
  const request = ['-in', `${name}.csr`, '-out', `${name}.crt`, '-extfile', `${name}.ext`]
  await run('openssl', ['x509', '-req', ...request, ...signer], { cwd: dir })
  return readKeyPair(dir, name)
}

async function readKeyPair(dir: string, name: string): Promise<KeyPair> {
  return { key: await readFile(join(dir, `${name}.key`)), cert: await readFile(join(dir, `${name}.crt`)) }
}
