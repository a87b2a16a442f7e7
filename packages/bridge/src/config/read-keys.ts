import type { KekRing } from '@mortise/application-server'
import { hexToBytes } from '@mortise/lorawan'
import type { BridgeConfig } from '../config.ts'
import { HTTPS_ONLY, readUrl } from './addresses.ts'
import { readSecret, readTlsFiles, readToken, TLS_MEMBERS } from './files.ts'
import { Section } from './section.ts'

/** As the join server has it (TS002 says nothing of it). */
const LABEL = /^[\x21-\x7e]{1,64}$/
const AS_ID = /^[\x21-\x7e]{1,64}$/
const KEK_DIGITS = [32, 48, 64]
const MAKE_KEK = '(umask 077 && openssl rand -hex 32 > kek.hex), then `mortise kek set --as … --key-file kek.hex`'

/** Adds one entry of `keks` to the ring. @throws SectionFault */
export async function readKek(value: unknown, path: string, directory: string, ring: KekRing): Promise<void> {
  const section = new Section(value, path, directory, ['label', 'keyFile'])
  const label = section.text('label', 'write the label under which the join server has this KEK')
  if (!LABEL.test(label))
    return section.fault('label', 'is no label of a KEK', 'write 1 to 64 printable characters without spaces')
  const line = await readSecret(section, 'keyFile')
  if (line === undefined) return section.fault('keyFile', 'is missing', MAKE_KEK)
  const text = line.toString('latin1').trim()
  line.fill(0)
  if (!KEK_DIGITS.includes(text.length) || !/^[0-9a-fA-F]+$/.test(text))
    return section.fault('keyFile', 'must hold 16, 24 or 32 bytes as hexadecimal digits', MAKE_KEK)
  const kek = hexToBytes(text)
  try {
    if (kek.every((byte) => byte === 0)) return section.fault('keyFile', 'a key of zeros is no key', MAKE_KEK)
    addTo(ring, label, kek, section)
  } finally {
    kek.fill(0)
  }
}

function addTo(ring: KekRing, label: string, kek: Uint8Array, section: Section): void {
  try {
    ring.add(label, kek)
  } catch {
    section.fault('label', 'is that of another entry', 'every KEK has a label of its own')
  }
}

/** @throws SectionFault */
export async function readJoinServer(value: unknown, directory: string): Promise<BridgeConfig['joinServer']> {
  const members = ['url', 'asId', 'protocolVersion', 'keysFrom', 'tokenFile', ...TLS_MEMBERS]
  const section = new Section(value, 'joinServer', directory, members)
  const url = readUrl(section, HTTPS_ONLY, 'https://js.example.com:8443')
  const asId = section.text('asId', 'write the AS-ID under which the join server lets the owner in')
  if (!AS_ID.test(asId))
    return section.fault('asId', 'is no AS-ID', 'write 1 to 64 printable characters without spaces')
  const { ca, cert, key } = await readTlsFiles(section)
  const token = await readToken(section, 'tokenFile')
  if (ca === undefined)
    return section.fault('caFile', 'is missing', "name the join server's ca.pem, which `mortise peer add` gives")
  if (cert === undefined && token === undefined)
    return section.fault(
      'certFile',
      'is missing',
      'name certFile and keyFile, or tokenFile: the join server asks who comes',
    )
  const protocolVersion = section.choice('protocolVersion', ['1.0', '1.1'], '1.0')
  const keysFrom = section.choice('keysFrom', ['network', 'join-server'], 'network')
  return { service: { url, token, ca, cert, key }, asId, protocolVersion, keysFrom }
}
