/** What a client shows beside or instead of a certificate, for servers that can do no better. */
export type Authorization =
  | { readonly kind: 'bearer'; readonly token: string }
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  | { readonly kind: 'header'; readonly name: string; readonly value: string }

// RFC 9110 §5.1, §5.5; values of visible ASCII only, so that no encoding has to be agreed.
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/
const HEADER_VALUE = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/

/** Headers that say how the message is sent, and on which way; a secret in their place would break it. */
const RESERVED =
  /^(?:host|connection|content-.*|transfer-encoding|expect|upgrade|keep-alive|te|trailer|mortise-forwarded)$/i

/** Whether a header of this name, in whatever case, may say who asks. */
export function isAuthorizationHeader(name: string): boolean {
  return HEADER_NAME.test(name) && !RESERVED.test(name)
}

/**
 * The HTTP header, by its lower-case name.
 * @throws TypeError when something cannot stand in a header; the message does not repeat it
 */
export function authorizationHeader(authorization: Authorization): Readonly<Record<string, string>> {
  switch (authorization.kind) {
    case 'bearer':
      return header('authorization', `Bearer ${authorization.token}`)
    case 'basic': {
      const { username, password } = authorization
      // RFC 7617 §2: the first colon ends the user name.
      if (username.includes(':')) throw new TypeError('A user name of HTTP Basic has no colon.')
      return header('authorization', `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`)
    }
    case 'header':
      return header(authorization.name, authorization.value)
  }
}

function header(name: string, value: string): Readonly<Record<string, string>> {
  if (!isAuthorizationHeader(name)) throw new TypeError('This is no name for a header that says who asks.')
  if (!HEADER_VALUE.test(value)) throw new TypeError('The value of a header is visible ASCII, blanks inside it.')
  return { [name.toLowerCase()]: value }
}
