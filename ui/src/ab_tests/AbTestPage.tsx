import { Alert, Badge, Button, Group, Paper, SimpleGrid, Stack, Text, Title } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import { api, body } from '../api/client';
import { abTestsQuery, metricsQuery } from '../api/queries';
import { ConfirmDialog } from '../components/ConfirmDialog';
import { Facts } from '../components/Facts';
import { count, when } from '../components/format';
import { Loaded } from '../components/Loaded';
import { Page } from '../components/Page';
import { useMay } from '../shell/useProject';
import { AbTestComparisons } from './AbTestComparisons';
import { AbTestTrend } from './AbTestTrend';
import { AbTestVariants } from './AbTestVariants';
import { type AbTest, inWords, isActive, percent, STATUS } from './verdict';

const REFRESH_MS = 10_000;

/** One A/B test: what it says so far, and the numbers behind that. */
export function AbTestPage() {
  const { project, test: key } = useParams({ from: '/projects/$project/ab-tests/$test' });
  const query = useQuery({
    queryKey: ['ab_test', project, key],
    queryFn: () => body(api.GET('/api/v1/ab_tests/{key}', { params: { path: { key }, query: { project } } })),
    refetchInterval: ({ state }) => (state.data && isActive(state.data) ? REFRESH_MS : false),
  });
  return query.data ? (
    <Test project={project} test={query.data} />
  ) : (
    <Page title={`A/B test ${key}`}>
      <Loaded query={query} failed="The A/B test could not be read">
        {() => null}
      </Loaded>
    </Page>
  );
}

function Test({ project, test }: { project: string; test: AbTest }) {
  const client = useQueryClient();
  const mayManage = useMay('ab_test:manage');
  const mayRead = useMay('interaction:read');
  const { data: metrics = [] } = useQuery(metricsQuery(project));
  const [cancelling, dialog] = useDisclosure(false);
  const metric = metrics.find((found) => found.key === test.metric);
  const lower = metric?.scoring_type === 'LOWER_IS_BETTER';
  const { label, color } = STATUS[test.status];
  const cancel = async () => {
    const ended = await body(
      api.POST('/api/v1/ab_tests/{key}/cancel', { params: { path: { key: test.key }, query: { project } } }),
    );
    client.setQueryData(['ab_test', project, test.key], ended);
    await client.invalidateQueries({ queryKey: abTestsQuery(project).queryKey });
  };
  const actions = (
    <>
      {mayRead && (
        <Button
          size="xs"
          variant="default"
          renderRoot={(props) => (
            <Link
              to="/projects/$project/interactions"
              params={{ project }}
              search={{ abTest: test.key }}
              {...props}
            />
          )}
        >
          Its interactions
        </Button>
      )}
      {mayManage && isActive(test) && (
        <Button size="xs" color="red" variant="light" onClick={dialog.open}>
          Cancel test
        </Button>
      )}
    </>
  );
  return (
    <Page title={test.name || test.key} actions={actions}>
      <Stack gap="lg">
        <Paper withBorder p="md">
          <Group gap="xs" mb={6}>
            <Badge variant="dot" color={color} tt="none">
              {label}
            </Badge>
            <Title order={2} size="h5">
              What it says
            </Title>
          </Group>
          <Text style={{ overflowWrap: 'anywhere' }} role="status">
            {inWords(test, lower)}
          </Text>
          {isActive(test) && (
            <Text size="xs" c="dimmed" mt={6}>
              Look as often as you like: that does not make a wrong verdict more probable. This page looks
              every {REFRESH_MS / 1000} seconds.
            </Text>
          )}
        </Paper>
        {test.warnings.map((warning) => (
          <Alert key={warning} color="yellow" role="note">
            {warning}
          </Alert>
        ))}
        <AbTestVariants test={test} />
        {test.score_type === 'COMPARISON' && <AbTestComparisons test={test} />}
        <SimpleGrid cols={{ base: 1, lg: 2 }}>
          <AbTestTrend project={project} test={test} />
          <Paper withBorder p="md">
            <Title order={2} size="h5" mb="sm">
              How it is set up
            </Title>
            <Facts
              facts={[
                ['Key', <code key="key">{test.key}</code>],
                [
                  'Metric',
                  `${test.metric ?? '(deleted)'}${metric ? `, ${lower ? 'lower' : 'higher'} is better` : ''}`,
                ],
                [
                  'Scores',
                  test.score_type === 'DIRECT' ? 'of single answers' : 'preferences between two answers',
                ],
                ['Traffic that enters', percent(test.traffic_split)],
                ['Scores before a decision', count(test.min_scores)],
                ['Risk of a wrong winner', percent(test.alpha)],
                ['Winner becomes default', test.auto_deploy ? 'yes' : 'no'],
                ['Begun', when(test.begun_at)],
                ['Ended', when(test.ended_at)],
              ]}
            />
          </Paper>
        </SimpleGrid>
      </Stack>
      <ConfirmDialog
        title="Cancel A/B test"
        confirm="Cancel the test"
        opened={cancelling}
        onClose={dialog.close}
        onConfirm={cancel}
      >
        No request enters any more, and nothing will be decided. Scores and interactions stay. A test that was
        cancelled cannot go on.
      </ConfirmDialog>
    </Page>
  );
}
