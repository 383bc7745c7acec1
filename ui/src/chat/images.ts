/** Images for a message, within the limits that the server has too, so that a refusal costs no upload. */

export const IMAGE_TYPES = ['image/jpeg', 'image/png', 'image/webp', 'image/gif'];
const MAX_IMAGES = 8;
const MAX_BYTES = 10 * 2 ** 20;

/** Data URIs of these files. Throws an Error that says what is wrong with the first that cannot be taken. */
export async function readImages(files: Iterable<File>, already: number): Promise<string[]> {
  const chosen = [...files];
  if (already + chosen.length > MAX_IMAGES) throw new Error(`A message has at most ${MAX_IMAGES} images.`);
  for (const file of chosen) {
    if (!IMAGE_TYPES.includes(file.type)) throw new Error(`${file.name} is no JPEG, PNG, WebP or GIF image.`);
    if (file.size > MAX_BYTES) throw new Error(`${file.name} is larger than 10 MB.`);
    if (!(await canDecode(file))) throw new Error(`${file.name} is damaged: it cannot be shown.`);
  }
  return Promise.all(chosen.map((file) => dataUri(file, file.name)));
}

/** The server refuses what is damaged, and a refused message stays in the chat until it is edited. */
async function canDecode(file: File): Promise<boolean> {
  try {
    (await createImageBitmap(file)).close();
    return true;
  } catch {
    return false;
  }
}

/** Throws an Error where the browser cannot read it. */
export function dataUri(file: Blob, name = 'The image'): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(new Error(`${name} could not be read.`));
    reader.readAsDataURL(file);
  });
}
