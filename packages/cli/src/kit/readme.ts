import { formatJoinEuiPrefix, type JoinEuiPrefix } from '@mortise/lorawan'
import type { KitManifest } from './manifest.ts'

/** What the operator of a network server has to know, whichever program it is. Markdown. */

export interface ReadmeFacts {
  readonly manifest: KitManifest
  readonly joinEuis: readonly JoinEuiPrefix[]
  /** ISO 8601. */
  readonly certificateUntil: string
}

export function readmeHead({ manifest, joinEuis, certificateUntil }: ReadmeFacts, program: string): string {
  const { url, netId, nsId, kek } = manifest
  return `# ${program} and the join server ${url}

| | |
|---|---|
| Join server | \`${url}\` |
| Your network (SenderID) | NetID \`${netId}\`${nsId === undefined ? '' : `, NSID \`${nsId}\``} |
| JoinEUIs | ${joinEuis.map((prefix) => `\`${formatJoinEuiPrefix(prefix)}\``).join(', ')} |
| Backend Interfaces | ${nsId === undefined ? '1.0' : '1.1'}, HTTPS with client certificate |
| Client certificate | valid until ${certificateUntil.slice(0, 10)}; ask for a new one in time |
| Network session keys | ${kek === undefined ? 'in clear inside TLS' : `wrapped under the KEK \`${kek.label}\` (${8 * kek.bytes} bits)`} |

\`key.pem\` is your private key: nobody else may read it. It was made by the join server's operator, who has no use for a copy.
`
}

/** A request that is always refused, and how. Its frame is one byte long, so that no device is looked up. */
export function tryByHand({ manifest, joinEuis }: ReadmeFacts, directory: string, more = ''): string {
  const { netId, nsId, url } = manifest
  const joinEui = joinEuis[0]?.joinEui ?? '0000000000000000'
  const body = JSON.stringify({
    ...{ ProtocolVersion: nsId === undefined ? '1.0' : '1.1', MessageType: 'JoinReq', SenderID: netId },
    ...(nsId !== undefined && { SenderNSID: nsId }),
    ...{ ReceiverID: joinEui, TransactionID: 1, MACVersion: '1.0.3', PHYPayload: '00', DevEUI: '0000000000000000' },
    ...{ DevAddr: '00000000', DLSettings: '00', RxDelay: 1 },
  })
  return `\`\`\`sh
mortise kit test --kit . --device DEVEUI
\`\`\`

in this directory plays your network server with these files, and says of each thing whether it is right, and what to do
if not. It uses up nothing: \`--device\` sends a forged join-request, which the join server refuses before it looks at
DevNonces (its log shows a FrameSizeError, an UnknownDevEUI and a MICFailed for it). ${more}Without Mortise at hand, this tells whether network, TLS, certificate and NetID
are right:

\`\`\`sh
curl --cacert ${directory}/ca.pem --cert ${directory}/cert.pem --key ${directory}/key.pem \\
  --header 'Content-Type: application/json' \\
  --data '${body}' \\
  '${url}'
\`\`\`

The right answer is \`FrameSizeError\`: the join server knows you, and the frame in the request is no frame. With
\`UnknownSender\` the Description says why.
`
}

/** The codes that an operator of a network server meets, as Backend Interfaces have them. */
export const REFUSALS = `| ResultCode | Means | Do |
|---|---|---|
| \`UnknownSender\` | the certificate is unknown, outside its validity or disabled, or your NetID is not the one that it was issued for | the Description says which; compare NetID and certificate with this kit |
| \`UnknownDevEUI\` | no such device under this JoinEUI | compare DevEUI and JoinEUI, in your network server and on the device; ask the owner |
| \`ActivationDisallowed\`, \`NoRoamingAgreement\` | the owner has not allowed your network to activate this device | the owner allows it |
| \`MICFailed\` | the frame was not made with this device's key | the device has another key than the join server, or the frame is forged |
| \`JoinReqFailed\`, \`FrameReplayed\` | a DevNonce a second time, or a KEK is missing | the Description says which; devices try again with the next DevNonce |
| \`InvalidProtocolVersion\`, \`MalformedRequest\`, \`MalformedMessage\` | your configuration speaks another dialect than the join server has for you | compare with this kit |
| \`Other\` | the join server cannot answer now | nothing was used up; its operator looks after it |
`
