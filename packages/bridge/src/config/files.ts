import { createPrivateKey, X509Certificate } from 'node:crypto'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Section } from './section.ts'

const ACCESS_OF_OTHERS = 0o077
const MAX_PEM_BYTES = 1_048_576
const MAX_SECRET_BYTES = 16_384

interface FileToRead {
  readonly isSecret: boolean
  readonly maxBytes: number
}

/** Bytes of a file that a member names; undefined when the member is absent. @throws SectionFault */
export async function readNamedFile(section: Section, name: string, wanted: FileToRead): Promise<Buffer | undefined> {
  const path = section.file(name)
  if (path === undefined) return undefined
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    // The open file is examined, not the path: it cannot be exchanged in between.
    const stats = await file.stat()
    if (!stats.isFile()) return section.fault(name, `${path} is not a file`, 'name the file itself')
    // Windows has no such modes.
    if (wanted.isSecret && process.platform !== 'win32' && (stats.mode & ACCESS_OF_OTHERS) !== 0)
      return section.fault(name, `${path} can be read by others`, `chmod 600 ${path}`)
    if (stats.size === 0) return section.fault(name, `${path} is empty`, 'put in it what belongs there')
    if (stats.size > wanted.maxBytes) return section.fault(name, `${path} is too large`, 'is it the right file?')
    return await file.readFile()
  } catch (error) {
    if (!isSystemError(error)) throw error
    return error.code === 'ENOENT'
      ? section.fault(name, `${path} does not exist`, 'make it, or mend its name; it is relative to the configuration')
      : section.fault(name, `${path} cannot be read`, 'let the user of the bridge read it')
  }
}

/** One line of a secret file, without its end. @throws SectionFault */
export async function readSecret(section: Section, name: string): Promise<Buffer | undefined> {
  const bytes = await readNamedFile(section, name, { isSecret: true, maxBytes: MAX_SECRET_BYTES })
  if (bytes === undefined) return undefined
  const end = bytes.at(-1) === 0x0a ? (bytes.at(-2) === 0x0d ? -2 : -1) : bytes.length
  const line = bytes.subarray(0, end)
  if (line.length === 0) return section.fault(name, 'the file is empty', 'put the secret on its first line')
  if (line.some((byte) => byte < 0x20 || byte === 0x7f))
    return section.fault(name, 'the file has more than one line', 'leave the secret alone in it')
  return line
}

/** A token that goes into an HTTP header: alone, or as the line `Authorization: Bearer …` that Mortise writes. @throws SectionFault */
export async function readToken(section: Section, name: string): Promise<Buffer | undefined> {
  const line = await readSecret(section, name)
  if (line === undefined) return undefined
  const token = /^(?:authorization: *)?(?:bearer +)?([\x21-\x7e]+)$/i.exec(line.toString('latin1'))?.[1]
  return token === undefined
    ? section.fault(name, 'the file holds no token', 'put the token alone on its first line')
    : Buffer.from(token, 'latin1')
}

export interface TlsFiles {
  readonly ca?: Buffer | undefined
  readonly cert?: Buffer | undefined
  readonly key?: Buffer | undefined
}

export const TLS_MEMBERS = ['caFile', 'certFile', 'keyFile'] as const

/** Certificate and key must be a pair. @throws SectionFault */
export async function readTlsFiles(section: Section): Promise<TlsFiles> {
  const pem = { isSecret: false, maxBytes: MAX_PEM_BYTES }
  const ca = await readNamedFile(section, 'caFile', pem)
  if (ca !== undefined) certificateOf(section, 'caFile', ca)
  const cert = await readNamedFile(section, 'certFile', pem)
  const key = await readNamedFile(section, 'keyFile', { ...pem, isSecret: true })
  if (cert === undefined && key === undefined) return { ca }
  if (cert === undefined) return section.fault('certFile', 'is missing', 'name the certificate of keyFile')
  if (key === undefined) return section.fault('keyFile', 'is missing', 'name the private key of certFile')
  if (!isPair(certificateOf(section, 'certFile', cert), section, key))
    return section.fault('keyFile', 'is not the key of certFile', 'name the two that were made together')
  return { ca, cert, key }
}

function certificateOf(section: Section, name: string, pem: Buffer): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch {
    return section.fault(name, 'the file holds no certificate in PEM', 'it begins with -----BEGIN CERTIFICATE-----')
  }
}

function isPair(certificate: X509Certificate, section: Section, key: Buffer): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(key))
  } catch {
    return section.fault('keyFile', 'the file holds no private key in PEM', 'a key without passphrase is expected')
  }
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error
}
