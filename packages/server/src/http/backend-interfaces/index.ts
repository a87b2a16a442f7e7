export { Admission } from './admission.ts'
export { createMessageHandler, type RefusalEvent } from './handle-message.ts'
export { createListener, type Listener } from './listener.ts'
