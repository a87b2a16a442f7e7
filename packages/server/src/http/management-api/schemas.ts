import { DIALECT_NAMES } from '@mortise/backend-interfaces'
import { KEK_SIZES } from '@mortise/hsm'
import { MAC_VERSIONS } from '@mortise/lorawan'
import { z } from 'zod'
import {
  CERTIFICATE_STATES,
  HSM_STATES,
  LISTED_ORDER_STATES,
  MAX_API_KEY_NAME_LENGTH,
  MAX_CERTIFICATE_LENGTH,
  MAX_LIST_ROWS,
} from '../../kms/index.ts'
import { NONCE_BEHAVIOURS } from '../../join/index.ts'
import { PROBLEM_MEDIA_TYPE, problemSchema } from './problems.ts'

/**
 * What goes over the wire. Requests are strict: an unknown member is refused. Answers are whitelists: what a view has
 * beyond its schema does not leave the server.
 */

const MAX_ORDER_TEXT_LENGTH = 1024 * 1024
const MAX_ENVELOPE_LENGTH = 256 * 1024
const MAX_CERTIFICATES = 500
const MAX_SIGNATURES = 16
const DEFAULT_PAGE_ROWS = 100

const id = z.string().regex(/^[0-9a-f]{32}$/)
const eui64 = z.string().regex(/^[0-9a-f]{16}$/)
const netId = z.string().regex(/^[0-9a-f]{6}$/)
const devAddr = z.string().regex(/^[0-9a-f]{8}$/)
const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const evenHex = z.string().regex(/^([0-9a-f]{2})+$/)
const time = z.iso.datetime()
const count = z.number().int().nonnegative()
const peerKind = z.enum(['ns', 'as'])
const limit = z.coerce.number().int().min(1).max(MAX_LIST_ROWS).default(DEFAULT_PAGE_ROWS)

export const submittedOrder = z.strictObject({
  text: z.string().max(MAX_ORDER_TEXT_LENGTH).describe('The canonical JSON of the order, as it was signed.'),
  signatures: z
    .array(z.strictObject({ signer: id, signature: z.string().regex(/^[0-9a-f]{128}$/) }))
    .min(1)
    .max(MAX_SIGNATURES),
  envelope: z.string().max(MAX_ENVELOPE_LENGTH).optional().describe('The sealed envelope of the keys of the order.'),
  certificates: z
    .array(z.string().max(MAX_CERTIFICATE_LENGTH))
    .max(MAX_CERTIFICATES)
    .optional()
    .describe('PEM, one for every certificate that a change names, of peers, CAs and routes.'),
})

export const newApiKey = z.strictObject({ name: z.string().min(1).max(MAX_API_KEY_NAME_LENGTH) })

export const deviceQuery = z.strictObject({
  after: id.optional().describe('deviceId of the last device of the page before.'),
  limit,
})
export const deviceParams = z.strictObject({ devEui: z.string().regex(/^[0-9a-fA-F]{16}$/) })
export const orderQuery = z.strictObject({ state: z.enum(LISTED_ORDER_STATES), limit })
export const apiKeyParams = z.strictObject({ apiKeyId: z.string().max(64) })
/** No query at all. */
export const noQuery = z.strictObject({})

const orderView = z.object({
  orderId: count,
  signer: id,
  sequence: count,
  state: z.enum(['waiting', 'adopted', 'refused']),
  code: z.string().optional(),
  detail: z.string().optional(),
  submittedAt: time,
  settledAt: time.optional(),
})

const sessionView = z.object({ netId, devAddr, sessionKeyId: evenHex, at: time })

const nonceView = z.object({
  behaviour: z
    .enum(NONCE_BEHAVIOURS)
    .describe('How the device chooses its DevNonces; counter-recognised is a device of 1.0.0 to 1.0.3 that counts.'),
  devNoncesLeft: count.describe('Of a counter, those above the last.'),
  joinNoncesLeft: count,
  joinsLeft: count.describe('How many joins both last for.'),
  devNoncesPerJoin: z.number().optional().describe('Of a counter: above 1 where join-requests got lost.'),
  refusalProbability: z.number().min(0).max(1).optional().describe('Of a random DevNonce: that it was used before.'),
  triesPerJoin: z.number().optional().describe('Join-requests that a random device sends for one that is accepted.'),
  joinsPerYear: z.number().optional(),
  exhaustedAt: time.optional().describe('When nothing is left at that rate; absent beyond 20 years.'),
  warnings: z.array(z.string()),
})

const deviceView = z.object({
  deviceId: id,
  devEui: eui64,
  joinEui: eui64,
  macVersion: z.enum(MAC_VERSIONS),
  keyGeneration: count,
  recordVersion: count,
  applicationServers: z.array(z.string()),
  networkIsApplicationServer: z.boolean(),
  networks: z.array(netId),
  keysDelivered: z.boolean(),
  createdAt: time,
  lastJoinNonce: count,
  lastDevNonce: count.optional(),
  devNoncesUsed: count,
  nonces: nonceView,
  lastJoin: sessionView.optional(),
  sessions: z.array(sessionView),
})

const protocol = z.enum(['1.0', '1.1'])
const certificateView = z.object({ fingerprint: sha256, subject: z.string(), notBefore: time, notAfter: time })

const peerView = z.object({
  peerId: id,
  kind: peerKind,
  id: z.string().describe('NetID of a network server, AS-ID of an application server.'),
  nsId: eui64.optional(),
  protocol,
  dialect: z.enum(DIALECT_NAMES).optional().describe('Of a network server: how it is talked to.'),
  asyncUrl: z.string().optional().describe('Where its answers are posted to.'),
  kekOnly: z.boolean().optional().describe('Of a network server: its keys leave under a KEK only.'),
  state: z.enum(['active', 'disabled']),
  certificates: z.array(certificateView.extend({ addedAt: time })).describe('Each of them opens the door.'),
  authority: certificateView
    .extend({ name: z.string() })
    .optional()
    .describe('A CA: what it issues to this name opens the door as well.'),
  tokens: z
    .array(z.object({ digest: sha256, header: z.string(), addedAt: time }))
    .describe('A header whose value has this SHA-256 opens the door where no certificate is shown.'),
  createdAt: time,
})

const installedCertificateView = certificateView.extend({
  kind: z.enum(['server', 'ca', 'ns', 'as', 'route']),
  id: z.string(),
  names: z.array(z.string()),
  isAuthority: z.boolean(),
  state: z.enum(CERTIFICATE_STATES),
})

const agreementView = z.object({
  peerId: id,
  netId: netId.describe('The network server that may learn the home of these devices.'),
  devEui: eui64.optional().describe('One device.'),
  joinEui: eui64.optional().describe('All devices whose JoinEUI begins with the first bits of this one.'),
  bits: count.optional(),
  addedAt: time,
})

const routeView = z.object({
  routeId: id,
  joinEui: eui64,
  bits: count.describe('How many bits of joinEui decide.'),
  url: z.string(),
  protocol,
  certificate: certificateView.describe('What is shown there.'),
  authority: certificateView.describe('What the other join server is checked against.'),
  createdAt: time,
})

const kekView = z.object({
  kekId: id,
  kind: peerKind,
  recipient: z.string(),
  label: z.string(),
  version: count,
  size: z.number().refine((size) => KEK_SIZES.some((known) => known === size)),
  recordVersion: count,
  createdAt: time,
})

const apiKeyView = z.object({ apiKeyId: z.string(), name: z.string(), createdAt: time, revokedAt: time.optional() })

const hsmView = z.object({
  state: z.enum(HSM_STATES),
  hsmId: eui64.optional(),
  backend: z.enum(['soft', 'pkcs11']).optional(),
  epoch: count.optional(),
  workers: count.optional(),
  importKeyThumbprint: sha256.optional(),
  lastSequence: count,
  knownEpoch: count,
})

export const serverStatus = z.object({
  version: z.string(),
  running: z.boolean(),
  organisationId: id,
  hsm: hsmView,
  nextSequence: count,
  devices: count,
  waitingOrders: count,
  refusedOrders: z.array(orderView),
  warnings: z.array(z.string()),
})

export const adoptedReport = z.object({ orderId: count, state: z.literal('adopted') })
export const waitingReport = z.object({ orderId: count, state: z.literal('waiting') })
export const orderList = z.object({ orders: z.array(orderView) })
export const peerList = z.object({ peers: z.array(peerView) })
export const certificateList = z.object({ certificates: z.array(installedCertificateView) })
export const agreementList = z.object({ agreements: z.array(agreementView) })
export const routeList = z.object({ routes: z.array(routeView) })
export const kekList = z.object({ keks: z.array(kekView) })
export const devicePage = z.object({ devices: z.array(deviceView), next: id.optional() })
export const deviceList = z.object({ devices: z.array(deviceView) })
export const apiKeyList = z.object({ apiKeys: z.array(apiKeyView) })
export const createdApiKey = z.object({ apiKeyId: z.string(), token: z.string() })
export const readinessReport = z.object({ ready: z.boolean(), reasons: z.array(z.string()) })
export const liveness = z.object({ live: z.literal(true) })

/** Prometheus text format. */
export const METRICS_MEDIA_TYPE = 'text/plain; version=0.0.4; charset=utf-8'
export const metricsText = { description: 'Metrics', content: { [METRICS_MEDIA_TYPE]: { schema: z.string() } } }

/** Every answer of a route that is none of its good ones. */
export const problems = {
  default: {
    description: 'A problem document (RFC 9457).',
    content: { [PROBLEM_MEDIA_TYPE]: { schema: problemSchema } },
  },
}
