import { CHIRPSTACK_DIRECTORY, chirpStackFile } from './chirpstack.ts'
import type { KitManifest } from './manifest.ts'
import { type ReadmeFacts, REFUSALS, readmeHead, tryByHand } from './readme.ts'
import { KEK_PLACEHOLDER } from './setup.ts'

const OWN_FILE_TOO = 'With a copy of `chirpstack.toml` in this directory, the NetID in it is tried. '

/** `README.md` of a kit for ChirpStack v4. */
export function chirpStackReadme(facts: ReadmeFacts): string {
  const { manifest } = facts
  const { slug, netId, url } = manifest
  const file = chirpStackFile(manifest)
  return `${readmeHead(facts, 'ChirpStack v4')}
## Set up

1. **NetID.** \`chirpstack.toml\` must have, under the \`[network]\` that is there already, \`net_id="${netId}"\`.
   ChirpStack sends it as SenderID.
2. **Files.** ChirpStack reads every \`.toml\` of its configuration directory. Copy \`${file}\` and the directory
   \`${slug}\` there, and let ChirpStack alone read the key:

   \`\`\`sh
   sudo cp -r ${file} ${slug} ${CHIRPSTACK_DIRECTORY}/
   sudo chown -R chirpstack:chirpstack ${CHIRPSTACK_DIRECTORY}/${file} ${CHIRPSTACK_DIRECTORY}/${slug}
   \`\`\`

   With the container images, copy into the directory that is mounted as \`${CHIRPSTACK_DIRECTORY}\`
   (\`configuration/chirpstack\`); the owner is \`65534:65534\`. If there is a \`[[join_server.servers]]\` for all JoinEUIs already, put these entries
   into its file, above it: the first that matches is asked.
${keks(manifest)}${asynchronous(manifest)}${lastSteps(manifest)}
## Check

${tryByHand(facts, slug, OWN_FILE_TOO)}
## When it does not work

ChirpStack says so in its log only: no event tells, and the device keeps its old session. Look for
\`Response error, code: …, description: "…"\`, or for the reason why there was no answer:

| In the log | Means | Do |
|---|---|---|
| \`error sending request for url (${url})\` | no connection: name, port, or TLS | \`mortise kit test\` says which |
| nothing about a join server | the device has keys in ChirpStack, or its JoinEUI has no entry | step ${stepOf(manifest)}; compare the JoinEUI |
| \`operation timed out\` | no answer within five seconds | the network in between, or the join server |
| \`Response error, code: …\` | the join server refused: see below | |
| a KEK that is not found | \`[[keks]]\` lacks the label, which is case-sensitive | compare with \`${file}\` |

${REFUSALS}
ChirpStack does not start: the log names the file. Most often a table such as \`[network]\` stands in two files, or
\`${KEK_PLACEHOLDER}\` is still there. Its Redis keeps recent requests and answers (\`backend_interfaces:stream:request\`),
with network session keys in clear unless there is a KEK.
`
}

function keks({ kek, slug }: KitManifest): string {
  if (kek === undefined) return ''
  return `3. **KEK.** Write the key-encryption key that you share with the join server's operator in place of
   \`${KEK_PLACEHOLDER}\` in \`${slug}.toml\`: 32 hexadecimal digits under the label \`${kek.label}\`. It is never sent with
   this kit. When it is replaced, keep the old one in a second \`[[keks]]\` for a day.
`
}

function asynchronous({ asyncUrl, kek }: KitManifest): string {
  if (asyncUrl === undefined) return ''
  return `${kek === undefined ? 3 : 4}. **Answers come to you.** The join server posts them to \`${asyncUrl}\`: that name and port must lead to the
   \`bind\` of \`[backend_interfaces]\`. \`listener-cert.pem\`, which ChirpStack shows there, is issued for that name.
`
}

function stepOf({ kek, asyncUrl }: KitManifest): number {
  return 4 + (kek === undefined ? 0 : 1) + (asyncUrl === undefined ? 0 : 1)
}

function lastSteps(manifest: KitManifest): string {
  const step = stepOf(manifest)
  return `${step - 1}. **Restart** ChirpStack: \`sudo systemctl restart chirpstack\`, or the container.
${step}. **Devices** get DevEUI and JoinEUI in ChirpStack and **no keys**: ChirpStack asks the join server only for devices
   without. Leave "OTAA keys" empty; if they are there, delete them.

ChirpStack gets the network session keys. The AppSKey reaches it wrapped for the owner's application server: it hands it
on in \`joinServerContext\` of join and uplink events, and payloads stay encrypted (no codec runs). Only for devices whose
owner has named your network itself as application server, ChirpStack decrypts.
`
}
