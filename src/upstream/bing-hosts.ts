/** Hosts and pages that mean the same in every protocol of Bing. Volatile; docs/protocol/failures.md section 1. */

const BING_HOST = /(^|\.)bing\.com$/i

/** Where a visitor is sent who is not signed in (row T6). Seen 2023 to 2026. */
export const LOGIN_PAGE =
  /^https?:\/\/(login\.live\.com|login\.microsoftonline\.com)(\/|$)|\/fd\/auth\/signin/i

/** Where a visitor is sent whose region or network is not served (row T5). Seen 2023 to 2026. */
export const REGION_PAGE = /^https?:\/\/cn\.bing\.com(\/|$)|[?&]form=REDIRERR/i

/** Whether a host name is bing.com or below it. */
export function isBingHost(host: string): boolean {
  return BING_HOST.test(host)
}
