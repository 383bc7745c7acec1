import { Button, PasswordInput, Stack } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../api/client';
import { ErrorNotice } from '../components/ErrorNotice';

/** Where a key is given. The server keeps what it is for in a cookie that no script can read; the key itself is not stored. */
export function SignInForm({ onSignedIn }: { onSignedIn: () => Promise<unknown> }) {
  const [key, setKey] = useState('');
  const signIn = useMutation({
    mutationFn: () => api.POST('/api/v1/sign_in', { headers: { Authorization: `Bearer ${key.trim()}` } }),
    onSuccess: onSignedIn,
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        signIn.mutate();
      }}
    >
      <Stack gap="md">
        <PasswordInput
          label="API key"
          placeholder="ad_…"
          autoComplete="current-password"
          spellCheck={false}
          autoFocus
          data-autofocus
          value={key}
          onChange={(event) => setKey(event.currentTarget.value)}
        />
        {signIn.error && <ErrorNotice error={signIn.error} />}
        <Button type="submit" loading={signIn.isPending} disabled={!key.trim()}>
          Sign in
        </Button>
      </Stack>
    </form>
  );
}
