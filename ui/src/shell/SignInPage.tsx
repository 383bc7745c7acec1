import { Anchor, Button, Center, Code, Paper, PasswordInput, Stack, Text, Title } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useRouter, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../api/client';
import { queryClient } from '../api/queries';
import { ErrorNotice } from '../components/ErrorNotice';
import { Logo } from './Logo';

/** The server keeps what the key is for in a cookie that no script can read; the key itself is not stored anywhere. */
export function SignInPage() {
  const router = useRouter();
  const { next } = useSearch({ from: '/sign-in' });
  const [key, setKey] = useState('');
  const signIn = useMutation({
    mutationFn: () => api.POST('/api/v1/sign_in', { headers: { Authorization: `Bearer ${key.trim()}` } }),
    onSuccess: async () => {
      queryClient.clear();
      await router.invalidate();
      router.history.push(next ?? '/');
    },
  });
  return (
    <Center mih="100vh" p="md" component="main">
      <Paper withBorder p="xl" w="100%" maw={420} shadow="sm" radius="lg">
        <form
          onSubmit={(event) => {
            event.preventDefault();
            signIn.mutate();
          }}
        >
          <Stack gap="md">
            <Logo />
            <div>
              <Title order={1} size="h3">
                Sign in
              </Title>
              <Text size="sm" c="dimmed" mt={4}>
                With any API key of this server. What you can do here is what the key may do.
              </Text>
            </div>
            <PasswordInput
              label="API key"
              placeholder="ad_…"
              autoComplete="current-password"
              spellCheck={false}
              autoFocus
              value={key}
              onChange={(event) => setKey(event.currentTarget.value)}
            />
            {signIn.error && <ErrorNotice error={signIn.error} />}
            <Button type="submit" loading={signIn.isPending} disabled={!key.trim()}>
              Sign in
            </Button>
            <Text size="xs" c="dimmed">
              The first start of the server printed an admin key. Where it runs,{' '}
              <Code>adaptive keys create NAME</Code> makes another one. You stay signed in for a week. The API
              is described at{' '}
              <Anchor href="/openapi.json" inherit underline="always">
                /openapi.json
              </Anchor>
              .
            </Text>
          </Stack>
        </form>
      </Paper>
    </Center>
  );
}
