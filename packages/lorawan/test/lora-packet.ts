import { createRequire } from 'node:module'
import type declared from 'lora-packet'

/**
 * An implementation of LoRaWAN by others, over AES by others (crypto-js, aes-cmac): the independent oracle of these tests.
 * By `require`, because its CommonJS module is what its types declare as the `default` in it.
 */
export const loraPacket = createRequire(import.meta.url)('lora-packet') as (typeof declared)['default']
