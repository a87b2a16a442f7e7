import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { fitnessFor, subjectText } from '@mortise/server'
import { errorCode } from '../errors.ts'
import { readSmallFile } from '../files.ts'
import { type Check, type CheckName, ok, wrong } from './check.ts'
import type { NetworkServerSetup } from './setup.ts'

/** What the network server shows and trusts, in PEM. */
export interface Credentials {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export interface FilesReport {
  readonly checks: readonly Check[]
  /** Undefined when something is missing without which no handshake can be tried. */
  readonly credentials: Credentials | undefined
}

const NEW_CERTIFICATE = 'ask the operator of the join server for a new certificate (`mortise peer certificate add`).'

/** The three files of the TLS client. `nowMs` is in milliseconds since 1970. */
export function checkFiles({ files }: NetworkServerSetup, nowMs: number): FilesReport {
  const ca = readPart('ca-file', files.ca, readCertificate)
  const certificate = readPart('client-certificate', files.certificate, readCertificate)
  const key = readPart('client-key', files.key, readKey)
  const checks = [
    'status' in ca ? ca : checkAuthority(ca.value, nowMs),
    'status' in certificate ? certificate : checkCertificate(certificate.value, nowMs),
    'status' in key ? key : checkKey(key.value, 'status' in certificate ? undefined : certificate.value),
  ]
  if ('status' in ca || 'status' in certificate || 'status' in key) return { checks, credentials: undefined }
  const isPair = certificate.value.checkPrivateKey(key.value)
  return { checks, credentials: isPair ? { ca: ca.text, cert: certificate.text, key: key.text } : undefined }
}

interface Part<Value> {
  readonly text: string
  readonly value: Value
}

function readPart<Value>(
  name: CheckName,
  path: string | undefined,
  read: (text: string) => Value | undefined,
): Part<Value> | Check {
  if (path === undefined)
    return wrong(name, 'the configuration names no such file.', 'name it as the kit had it; the join server needs it.')
  let text: string
  try {
    text = readSmallFile(path)
  } catch (error) {
    return errorCode(error) === 'ENOENT'
      ? wrong(name, `${path} does not exist.`, 'put the file of the kit there, or mend its name in the configuration.')
      : wrong(
          name,
          `${path} cannot be read (${errorCode(error) ?? 'unknown'}).`,
          'let the user of the network server read it.',
        )
  }
  const value = read(text)
  return value === undefined
    ? wrong(name, `${path} is not what it should be, in PEM.`, 'copy it from the kit again.')
    : { text, value }
}

function readCertificate(text: string): X509Certificate | undefined {
  try {
    return new X509Certificate(text)
  } catch {
    return undefined
  }
}

/** Whatever is wrong with a key, no part of it is told. */
function readKey(text: string): KeyObject | undefined {
  try {
    return createPrivateKey(text)
  } catch {
    return undefined
  }
}

function checkAuthority(authority: X509Certificate, nowMs: number): Check {
  const end = authority.validToDate
  return end.getTime() < nowMs
    ? wrong('ca-file', `it expired on ${day(end)}.`, "ask the operator of the join server for today's ca.pem.")
    : ok('ca-file', `${subjectText(authority)}, valid until ${day(end)}`)
}

function checkCertificate(certificate: X509Certificate, nowMs: number): Check {
  const { validFromDate: begin, validToDate: end } = certificate
  const name = 'client-certificate'
  if (end.getTime() < nowMs) return wrong(name, `it expired on ${day(end)}.`, NEW_CERTIFICATE)
  if (begin.getTime() > nowMs)
    return wrong(
      name,
      `it is valid from ${begin.toISOString()} only, and this machine has ${new Date(nowMs).toISOString()}.`,
      'set the clock of this machine (NTP). If the clock is right, wait.',
    )
  if (fitnessFor('client', certificate) === 'other')
    return wrong(name, 'it is not for TLS clients (extended key usage).', NEW_CERTIFICATE)
  return ok(name, `${subjectText(certificate)}, valid until ${day(end)}`)
}

function checkKey(key: KeyObject, certificate: X509Certificate | undefined): Check {
  if (certificate?.checkPrivateKey(key) === false)
    return wrong(
      'client-key',
      'it does not belong to the certificate.',
      'copy cert.pem and key.pem from the kit again, both from the same one.',
    )
  return ok('client-key', certificate === undefined ? 'it is a private key' : 'it belongs to the certificate')
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10)
}
