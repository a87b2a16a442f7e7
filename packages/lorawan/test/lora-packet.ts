import { createRequire } from 'node:module'

// The types of lora-packet promise a `default` that its CommonJS module does not have, hence the require.
type LoraPacketModule = (typeof import('lora-packet', { with: { 'resolution-mode': 'require' } }))['default']

/** An implementation of LoRaWAN by others, over AES by others (crypto-js, aes-cmac): the independent oracle of these tests. */
export const loraPacket = createRequire(import.meta.url)('lora-packet') as LoraPacketModule
