export { ApiKeys, type NewApiKey, newApiKey } from './api-keys.ts'
export { ApplicationServer, type AuthenticatedPeer, NetworkServer, PeerDirectory, type PeerRefusal } from './peers.ts'
