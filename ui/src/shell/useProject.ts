import { useSuspenseQuery } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { meQuery } from '../api/queries';

/** The key of the project in the address. */
export function useProject(): string {
  return useParams({ from: '/projects/$project' }).project;
}

export function useMe() {
  return useSuspenseQuery(meQuery).data;
}

/** Whether the signed-in key may do this in the open project. The server checks it again; this only hides buttons. */
export function useMay(permission: string): boolean {
  const me = useMe();
  const project = useProject();
  return me.projects[project]?.includes(permission) ?? false;
}
