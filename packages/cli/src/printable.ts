/** What a terminal would obey instead of showing: control and format characters, and the two other ends of lines. */
const OBEYED = /[\p{Cc}\p{Cf}\u2028\u2029]/gu

/**
 * Text in which everything can be seen: what others wrote (a certificate's name, a partner's answer) neither begins a line
 * of ours nor moves the cursor.
 */
export function printable(text: string): string {
  return text.replace(OBEYED, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}

/** The same for text of several lines, which end with a line feed, and tabs. */
export function printableLines(text: string): string {
  return text.replace(OBEYED, (character) =>
    character === '\n' || character === '\t' ? character : printable(character),
  )
}
