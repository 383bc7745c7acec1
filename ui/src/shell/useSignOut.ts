import { useRouter } from '@tanstack/react-router';
import { api } from '../api/client';
import { ApiError } from '../api/errors';
import { queryClient } from '../api/queries';
import { tellError } from '../components/tell';

/** A cookie that counts no more need not be taken back. */
function unlessSignedOut(error: unknown) {
  if (!(error instanceof ApiError && error.isSignedOut)) throw error;
}

/** Forget the cookie and everything that was read with it. */
export function useSignOut() {
  const router = useRouter();
  return async () => {
    try {
      await api.DELETE('/api/v1/sign_in').catch(unlessSignedOut);
      await router.navigate({ to: '/sign-in' });
      queryClient.clear();
    } catch (error) {
      tellError(error, 'You are still signed in');
    }
  };
}
