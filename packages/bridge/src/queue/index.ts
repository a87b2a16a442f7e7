export { type DeviceAddress, DeviceAddresses } from './device-addresses.ts'
export { type DeviceNote, EventQueue, type EventQueueOptions, type WaitingEvent } from './event-queue.ts'
export { MAX_SINKS } from './sink-bits.ts'
