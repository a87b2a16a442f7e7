/**
 * The floor of every figure, as a process: a bare HTTPS server with the same certificates and TLS options as the product,
 * which parses the same request and answers a JoinAns of the same size that never changes.
 * `node floor-main.ts --cert FILE --key FILE --tls OPTIONS --version 1.0.4` prints its port. OPTIONS are those of the
 * product as JSON: to import them here would load the whole product, and count as memory of the floor.
 */
import { createServer } from 'node:https'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import type { TlsOptions } from 'node:tls'
import { parseArgs } from 'node:util'
import { dialectOf, encodeJoinAns, type NetworkSessionKeys } from '@mortise/backend-interfaces'
import { is11, parseMacVersion } from '@mortise/lorawan'
import { JOIN_EUI, KEK_LABEL, NETWORK } from './parties.ts'

/** The Things Stack leaves its connections open for 90 s. */
const KEEP_ALIVE_MS = 90_000

process.title = 'mortise bench floor'
const { values } = parseArgs({
  options: { cert: { type: 'string' }, key: { type: 'string' }, tls: { type: 'string' }, version: { type: 'string' } },
})

/** Sizes are those of a real answer; the bytes do not matter. */
function constantAnswer(version: string): Buffer {
  const envelope = { aesKey: new Uint8Array(16) }
  const networkKeys: NetworkSessionKeys = is11(parseMacVersion(version))
    ? { fNwkSIntKey: envelope, sNwkSIntKey: envelope, nwkSEncKey: envelope }
    : { nwkSKey: envelope }
  const header = {
    ...({ protocolVersion: '1.0', messageType: 'JoinReq', senderId: NETWORK, senderIdText: NETWORK } as const),
    ...{ receiverId: JOIN_EUI, receiverIdText: JOIN_EUI, transactionId: 1_000_000_000 },
  }
  const appSKey = { kekLabel: KEK_LABEL, aesKey: new Uint8Array(24) }
  const phyPayload = new Uint8Array(33)
  const outcome = { phyPayload, networkKeys, appSKey, sessionKeyId: new Uint8Array(8), lifetime: 0 }
  return Buffer.from(encodeJoinAns(header, outcome, dialectOf('standard-1.0')))
}

const answer = constantAnswer(values.version ?? '')
const tlsOptions = JSON.parse(values.tls ?? '') as TlsOptions
const tls = { ...tlsOptions, cert: readFileSync(values.cert ?? ''), key: readFileSync(values.key ?? '') }
const server = createServer(
  { ...tls, requestCert: true, rejectUnauthorized: false, keepAliveTimeout: KEEP_ALIVE_MS },
  (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      JSON.parse(Buffer.concat(chunks).toString())
      response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': answer.length })
      response.end(answer)
    })
  },
)
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`)
})
// The parent's end of the pipe is the end of this process.
process.stdin.on('end', () => process.exit()).resume()
