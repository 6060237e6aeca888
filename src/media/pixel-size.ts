import { mp4Size } from './mp4.ts'

export interface PixelSize {
  width: number
  height: number
}

/**
 * Pixels at which a picture or film is shown, as its bytes say.
 * @returns `undefined` where they don't, or in a form that isn't read (WebM)
 */
export async function pixelSize(bytes: Buffer, contentType: string): Promise<PixelSize | undefined> {
  if (contentType === 'video/mp4') return mp4Size(bytes)
  if (!contentType.startsWith('image/')) return undefined
  // Only with the first picture: the library is large, and many gateways serve chat alone.
  const { default: sharp } = await import('sharp')
  try {
    // A photo may be stored lying on its side; `autoOrient` has the sides as they are shown.
    const { width, height } = (await sharp(bytes).metadata()).autoOrient
    return width > 0 && height > 0 ? { width, height } : undefined
  } catch {
    return undefined
  }
}
