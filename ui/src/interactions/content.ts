/** What a stored message consists of. It was written by others: everything is looked at before it is used. */

export interface Part {
  text?: string;
  /** An address as it is stored. */
  image?: string;
}

export interface StoredMessage {
  role: string;
  parts: Part[];
}

export function readMessage(message: Record<string, unknown>): StoredMessage {
  const role = typeof message.role === 'string' ? message.role : 'unknown';
  const { content } = message;
  if (typeof content === 'string') return { role, parts: [{ text: content }] };
  if (!Array.isArray(content)) return { role, parts: [{ text: JSON.stringify(content ?? null) }] };
  return { role, parts: content.map(readPart) };
}

function readPart(part: unknown): Part {
  if (typeof part === 'object' && part !== null) {
    const { type, text, image_url: image } = part as Record<string, unknown>;
    if (type === 'text' && typeof text === 'string') return { text };
    const url = typeof image === 'object' && image !== null ? (image as Record<string, unknown>).url : image;
    if (type === 'image_url' && typeof url === 'string') return { image: url };
  }
  return { text: JSON.stringify(part) };
}

export const textOf = ({ parts }: StoredMessage) => parts.map((part) => part.text ?? '').join('');
export const imagesOf = ({ parts }: StoredMessage) =>
  parts.flatMap((part) => (part.image ? [part.image] : []));

/** Where the page gets an image from: itself, or this server's store. Null for others: their hosts would learn who looks. */
export function imageSource(address: string): string | null {
  if (address.startsWith('data:image/')) return address;
  return /^\/images\/[\w-]+\/[\w-]+\.\w+$/.test(address) ? `/api/v1${address}` : null;
}

/** What the user said last, on one line. */
export function lastQuestion(messages: Record<string, unknown>[]): string {
  const asked = messages.findLast((message) => message.role === 'user') ?? messages.at(-1);
  return asked ? oneLine(textOf(readMessage(asked))) || '(image)' : '';
}

/** The beginning of a text without line breaks. */
export const oneLine = (text: string) => text.slice(0, 300).replace(/\s+/g, ' ').trim();
