import { Button, Modal, Stack, Text } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useRouter, useRouterState } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { onSignedOut } from '../api/errors';
import { meQuery } from '../api/queries';
import { SignInForm } from './SignInForm';

/** Asks for a key over the page on which somebody works when the cookie has ended: what they wrote stays below it.
 *
 * Who has opened no page yet is led to the one for signing in.
 */
export function SignInAgain() {
  const client = useQueryClient();
  const router = useRouter();
  const path = useRouterState({ select: (state) => state.location.pathname });
  const [asking, setAsking] = useState(false);
  const signingIn = path === '/sign-in';
  useEffect(() => {
    setAsking(false);
    if (signingIn) return;
    return onSignedOut(() => setAsking(client.getQueryData(meQuery.queryKey) !== undefined));
  }, [client, signingIn]);
  const goOn = async () => {
    // With another key, other things are permitted and seen: nothing that was read before is shown again.
    client.removeQueries({ type: 'inactive' });
    await client.invalidateQueries();
    setAsking(false);
  };
  const leave = async () => {
    await router.navigate({ to: '/sign-in' });
    client.clear();
  };
  return (
    <Modal
      opened={asking}
      onClose={() => {}}
      withCloseButton={false}
      closeOnEscape={false}
      closeOnClickOutside={false}
      title="Sign in again"
    >
      <Stack gap="md">
        <Text size="sm">
          You are signed in no more: a week has passed, or the key has ended. What you have written is still
          on this page; after signing in, do again what was refused.
        </Text>
        <SignInForm onSignedIn={goOn} />
        <Button variant="subtle" onClick={leave}>
          Leave this page
        </Button>
      </Stack>
    </Modal>
  );
}
