import type { KitManifest } from './manifest.ts'
import { type ReadmeFacts, REFUSALS, readmeHead, tryByHand } from './readme.ts'
import { KEK_PLACEHOLDER } from './setup.ts'
import { INTEROP, joinServerFile, STACK_DIRECTORY, STACK_FILE } from './the-things-stack.ts'

/** `README.md` of a kit for The Things Stack v3. */
export function theThingsStackReadme(facts: ReadmeFacts): string {
  const { manifest } = facts
  const { slug, netId } = manifest
  return `${readmeHead(facts, 'The Things Stack')}
## Set up

Paths are those of the container as its documentation sets it up: \`config/stack\` on the host is \`${STACK_DIRECTORY}\`
inside. If yours differ, change \`ns.interop.directory\`.

1. **Files.** Copy the directory \`${INTEROP}\`, and let the stack alone read the key (886 is its user):

   \`\`\`sh
   cp -r ${INTEROP} config/stack/
   sudo chown -R 886:886 config/stack/${INTEROP}
   \`\`\`

   If there is an \`${INTEROP}/config.yml\` already, add the entry of this one to its \`join-servers\`. The longest prefix
   wins; of several entries with the same JoinEUI as \`/64\` all are asked.
2. **Configuration.** Merge \`${STACK_FILE}\` into \`ttn-lw-stack-docker.yml\`. NetID \`${netId}\` stays in quotation marks:
   without them it is a number. As environment variables: \`TTN_LW_NS_NET_ID=${netId}\`,
   \`TTN_LW_NS_INTEROP_CONFIG_SOURCE=directory\`, \`TTN_LW_NS_INTEROP_DIRECTORY=${STACK_DIRECTORY}/${INTEROP}\`.
${keks(manifest)}${lastSteps(manifest)}
## Check

${tryByHand(facts, `${INTEROP}/${slug}`)}
## When it does not work

The cause is in the device's events: \`ns.up.join.interop.fail\`, "Join-request failed via Backend Interfaces", with the
error below it, and the Description of the join server. What the user sees beside that is \`join_server_not_found\`,
whatever the reason.

| Event or log | Means | Do |
|---|---|---|
| \`ns.up.join.cluster.fail\` before it | the stack's own Join Server does not know the device: as it should be | nothing |
| \`ns.up.join.cluster.success\` | the device has root keys in the stack's own Join Server | delete it there |
| no \`ns.up.join.interop.attempt\` | the JoinEUI has no entry, or the configuration was not read | compare \`${INTEROP}/config.yml\`; restart |
| \`missing_ns_id\`, \`ns_id_not_supported\` | protocol and sender-ns-id do not belong together | take \`${joinServerFile(manifest)}\` as it was |
| \`dns_lookup_not_supported\` | \`fqdn\` is missing | likewise |
| \`key_not_found\` | the key vault has no KEK with the label | step 3; the DevNonce is spent, the device tries again |
| \`x509: certificate signed by unknown authority\` | \`root-ca\` is not that of the join server | \`mortise kit test\` says more |
| \`unexpected_result\`, an HTTP status | a proxy answers, or the path is wrong | \`mortise kit test\` says which |
| the stack does not start, \`field … not found in type\` | a key that it does not know | it reads these files strictly |

${REFUSALS}
`
}

function keks({ kek }: KitManifest): string {
  if (kek === undefined) return ''
  const isPlain = /^[a-z0-9-]+$/.test(kek.label)
  const caution = isPlain
    ? ''
    : ` This label has other characters than small letters, digits
   and hyphens: if it is not found, ask for a KEK under a label that has not.`
  return `3. **KEK.** Write the key-encryption key that you share with the join server's operator in place of
   \`${KEK_PLACEHOLDER}\`: ${2 * kek.bytes} hexadecimal digits under the label \`${kek.label}\`. It is never sent with this kit. With
   another key vault than \`static\`, put it there under that label.${caution}
`
}

function lastSteps({ kek }: KitManifest): string {
  const step = kek === undefined ? 3 : 4
  return `${step}. **Restart** the stack: \`docker compose restart stack\`.
${step + 1}. **Devices** are registered with DevEUI and JoinEUI, "external join server" chosen
   (\`join-server-enabled=false\` in the CLI), and without root keys. The stack asks its own Join Server first: a device that
   it knows never reaches this one.

The stack's Network Server gets the network session keys. The AppSKey reaches it wrapped for the owner's application
server; with \`skip_payload_crypto\` of the application, join and uplink messages carry it as \`app_s_key\`, and payloads stay
encrypted. Without that, uplinks of such devices are dropped.
`
}
