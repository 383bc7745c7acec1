import { useRouter } from '@tanstack/react-router';
import { api } from '../api/client';
import { queryClient } from '../api/queries';
import { tellError } from '../components/tell';

/** Forget the cookie and everything that was read with it. */
export function useSignOut() {
  const router = useRouter();
  return async () => {
    try {
      await api.DELETE('/api/v1/sign_in');
      await router.navigate({ to: '/sign-in' });
      queryClient.clear();
    } catch (error) {
      tellError(error, 'You are still signed in');
    }
  };
}
