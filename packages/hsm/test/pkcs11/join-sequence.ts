import type { Token, TokenKey } from '../../src/token/token.ts'

/** What a join finds in its records. Sizes are those of real ones; the contents do not matter to the token. */
export interface JoinMaterial {
  readonly appKeyBlob: Buffer
  readonly nwkKeyBlob: Buffer
  readonly nsKek: TokenKey
  readonly asKek: TokenKey
}

const DEVICE_RECORD = Buffer.alloc(220, 1)
const SESSION_RECORD = Buffer.alloc(90, 2)
const JOIN_REQUEST = Buffer.alloc(19, 3)
const ACCEPT = Buffer.alloc(32, 4)
const ACCEPT_MESSAGE_10 = Buffer.alloc(29, 5)
const ACCEPT_MESSAGE_11 = Buffer.alloc(40, 6)
const BLOCK = Buffer.alloc(16, 7)

/** The calls of a 1.0.x join in their order: record genuine, MIC, derive, join-accept, wrap, session record. */
export function join10(token: Token, { appKeyBlob, nsKek, asKek }: JoinMaterial): void {
  token.tag(DEVICE_RECORD)
  const root = token.openRoot(appKeyBlob)
  token.cmac(root, JOIN_REQUEST)
  const nwkSKey = token.derive(root, BLOCK, 'wrap')
  const appSKey = token.derive(root, BLOCK, 'wrap')
  token.cmac(root, ACCEPT_MESSAGE_10)
  token.decryptBlocks(root, ACCEPT)
  token.wrap(nsKek, nwkSKey)
  deliverAppSKey(token, asKek, appSKey)
  for (const key of [appSKey, nwkSKey, root]) token.close(key)
}

/** The same for 1.1 with OptNeg: two root keys, JSIntKey, three network session keys. */
export function join11(token: Token, { appKeyBlob, nwkKeyBlob, nsKek, asKek }: JoinMaterial): void {
  token.tag(DEVICE_RECORD)
  const nwkKey = token.openRoot(nwkKeyBlob)
  token.cmac(nwkKey, JOIN_REQUEST)
  const appKey = token.openRoot(appKeyBlob)
  const network = [1, 3, 4].map(() => token.derive(nwkKey, BLOCK, 'wrap'))
  const appSKey = token.derive(appKey, BLOCK, 'wrap')
  const jsIntKey = token.derive(nwkKey, BLOCK, 'mac')
  token.cmac(jsIntKey, ACCEPT_MESSAGE_11)
  token.decryptBlocks(nwkKey, ACCEPT)
  for (const key of network) token.wrap(nsKek, key)
  deliverAppSKey(token, asKek, appSKey)
  for (const key of [jsIntKey, appSKey, ...network, appKey, nwkKey]) token.close(key)
}

function deliverAppSKey(token: Token, asKek: TokenKey, appSKey: TokenKey): void {
  token.wrap(asKek, appSKey)
  token.wrapForStorage(appSKey)
  token.tag(SESSION_RECORD)
}
