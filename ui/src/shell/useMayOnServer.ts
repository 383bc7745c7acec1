import { useMe } from './useProject';

/** Whether the signed-in key may do this on the whole server. The server checks it again; this only hides buttons. */
export function useMayOnServer(permission: string): boolean {
  return useMe().permissions.includes(permission);
}
