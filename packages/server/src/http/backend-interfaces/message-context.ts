/** What is to be known of a message beside who sent it and what it says. */
export interface MessageContext {
  /** Another join server had it before: it goes no further. */
  readonly isForwarded: boolean
  /** Called when another join server is asked, which takes its time: nothing here has to be done for the message then. */
  readonly handedOver: () => void
}

export const FIRST_HAND: MessageContext = { isForwarded: false, handedOver: () => undefined }
